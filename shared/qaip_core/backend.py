"""What a service *is*, as data: `Backend`, its `Endpoint`s, their `Params`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, KeysView, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from string import Formatter
from types import MappingProxyType
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    ClassVar,
    Protocol,
    TypeAlias,
    TypeVar,
)
from urllib.parse import quote

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from qaip_core.errors import InvalidParameterError, ServiceError
from qaip_core.framing import SSE, Event, Framing, Sniffer
from qaip_core.report import Rule
from qaip_core.types import Completion, Increment, Prompt

if TYPE_CHECKING:
    from qaip_core.operation import Errand, Operation

__all__ = [
    "COMMON",
    "LEAVE_OUT",
    "Action",
    "Backend",
    "Decoder",
    "Endpoint",
    "Params",
    "Stops",
    "Wire",
    "as_list",
    "event_stream",
    "faults",
    "invalid",
    "refuse_unknown",
]


T = TypeVar("T")

COMMON = ("model", "temperature", "max_tokens")
"""The names that every class takes, sent or not; ``stop`` is one too, done here if need be."""


class Params(BaseModel):
    """The parameters of one operation, declared once for the core and both frameworks.

    Every field defaults to None, which means: not sent. A field whose name a framework owns
    has another name here and its wire name as ``serialization_alias``.
    """

    model_config = ConfigDict(
        extra="forbid",
        allow_inf_nan=False,
        hide_input_in_errors=True,
        populate_by_name=True,
        protected_namespaces=(),
        defer_build=True,  # who imports five services uses one of them
    )

    synonyms: ClassVar[Mapping[str, str]] = {}
    """Further names by which fields may be given."""

    elsewhere: ClassVar[Mapping[str, str]] = {}
    """What to write instead of names that are looked for here, but stand in another place.

    What begins with `LEAVE_OUT` is said as it is.
    """


def as_list(value: Any) -> Any:
    """Return one string as a list of one, and nothing as None."""
    return [value] if isinstance(value, str) else value or None


Stops: TypeAlias = Annotated[list[str] | str | None, BeforeValidator(as_list)]
"""Stop sequences; one string is a list of one, an empty list is none."""


class Wire(BaseModel):
    """A body that a service sends: unknown keys are ignored, absent ones have defaults."""

    model_config = ConfigDict(
        extra="ignore", hide_input_in_errors=True, protected_namespaces=(), defer_build=True
    )


class Decoder(Protocol):
    """Turns the events of one stream into increments of the answer."""

    ended: bool
    """Whether the end mark has come, so that nothing more needs to be read."""

    def feed(self, event: Event) -> Increment | None:
        """Return what an event adds to the answer; None for nothing."""
        ...

    def finish(self, *, cut: bool) -> Completion | None:
        """Return the closing increment; None if the answer is not complete.

        Parameters:
            cut: whether the connection broke, instead of ending in good order.
        """
        ...

    def rest(self) -> Completion:
        """Return what is known of an answer that was cut: citations, usage, metadata."""
        ...


def event_stream(media_type: str) -> Framing:
    """Return the framing of an endpoint that streams Server-Sent Events.

    Servers mislabel: what is not called an event stream is looked at before it is believed.
    """
    return SSE() if media_type == "text/event-stream" else Sniffer(lines=False)


@dataclass(frozen=True, slots=True)
class Backend:
    """One service.

    Parameters:
        name: its key in metadata and errors, such as ``"perplexity"``.
        title: its name for people.
        base_url: None where every site has its own.
        key_env, url_env, verify_env: environment variables, first that is set wins.
        key_header: the header that carries the key.
        key_prefix: what stands before the key in it.
        key_begins: how its keys begin, where the vendor says so.
        key_required: whether a call without a key is refused before it is sent.
        normalise_url: brings the ways in which users write the base URL into one.
        rules: the service's own error table.
        keep_headers: prefixes of the response headers to keep in the metadata.
        named_headers: response headers that have a name of their own there.
        docs: the vendor's page.
        model_hint: how to find the name of a model, for the error that there is none.
    """

    name: str
    title: str
    base_url: str | None
    key_env: tuple[str, ...]
    url_env: tuple[str, ...]
    docs: str
    verify_env: tuple[str, ...] = ()
    key_header: str = "Authorization"
    key_prefix: str = "Bearer "
    key_begins: str = ""
    key_required: bool = True
    normalise_url: Callable[[str], str] = field(default=lambda url: url)
    rules: tuple[Rule, ...] = ()
    keep_headers: tuple[str, ...] = ()
    named_headers: Mapping[str, str] = field(default_factory=lambda: {"x-request-id": "request_id"})
    model_hint: str = ""


class Action:
    """What a service does when it is asked, and what it takes for that."""

    __slots__ = ()

    backend: Backend
    path: str
    params: type[Params]
    required: tuple[str, ...]

    common: ClassVar[tuple[str, ...]] = ()
    """Names that are known besides its parameters."""

    @property
    def names(self) -> KeysView[str]:
        """The names of its parameters."""
        return _names(self.params)

    def takes(self, name: str) -> bool:
        """Tell whether the service has a parameter of that name."""
        return name in _names(self.params)

    def by_name(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return parameters by their own names, those given by another too."""
        names = self.params.synonyms
        if names.keys().isdisjoint(values):
            return dict(values)
        for name, own in names.items():
            if values.get(name) is not None and values.get(own) is not None:
                raise InvalidParameterError(
                    f"{name!r} is another name of {own!r}: pass one of them"
                )
        return {names.get(name, name): value for name, value in values.items()}

    def check(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return the parameters under their wire names.

        Raises:
            InvalidParameterError: one is unknown, out of range, or required and missing.
        """
        given = {k: v for k, v in self.by_name(values).items() if v is not None}
        if not given.keys() <= self.names:
            known = [*self.params.model_fields, *self.params.synonyms, *self.common]
            refuse_unknown(given, known, self.backend.title, self.params.elsewhere)
        for name in self.required:
            if name not in given:
                hint = self.backend.model_hint if name == "model" else ""
                raise InvalidParameterError(
                    f"{self.backend.title} needs {name!r}: pass {name}=...{hint}"
                )
        try:
            checked = self.params.model_validate(given)
        except ValidationError as error:
            raise invalid(error, self.backend.title) from None
        try:
            return checked.model_dump(mode="json", by_alias=True, exclude_none=True)
        except ValueError:
            raise InvalidParameterError(
                f"{self.backend.title}: a parameter holds what JSON cannot"
            ) from None

    def at(self, params: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """Return the path, its placeholders filled, and the parameters that are not in it.

        Raises:
            InvalidParameterError: one cannot stand in a path, or would lead elsewhere.
        """
        if "{" not in self.path:
            return self.path, dict(params)
        places = _places(self.path)
        try:
            parts = {name: quote(str(params[name]), safe="") for name in places}
        except UnicodeEncodeError:
            raise InvalidParameterError(
                f"{self.backend.title}: an id holds half of a character"
            ) from None
        for name, part in parts.items():
            if part in ("", ".", ".."):
                raise InvalidParameterError(f"{self.backend.title}: {name} is not an id: {part!r}")
        return self.path.format(**parts), {k: v for k, v in params.items() if k not in places}


@dataclass(frozen=True, slots=True)
class Endpoint(Action):
    """One operation of a service that answers a prompt.

    Parameters:
        backend: the service.
        path: below the base URL; parameters of the names in braces are filled in.
        params: the model of its parameters.
        encode: prompt, checked parameters and whether to stream, to the JSON body.
        decode: a whole body, already JSON, to the answer.
        decoder: makes the decoder of one stream, from the checked parameters.
        required: the parameters without which nothing is sent.
        framing: chooses the framing by the media type of the response.
        accept: the Accept header of a streamed call, or what makes it of the parameters.
        kind: tells a service's later ways of answering from its first, such as "agent".
        cites: whether answers come with sources.
        markers: whether the service writes ``[n]`` for its n-th citation.
        thinks: whether a leading ``<think>`` is reasoning.
        chat: whether it takes turns, not one text.
        parts: the kinds of content that a turn may hold besides text.
        formats: the kinds of ``response_format`` that the service itself enforces.
        models: the list of the models it serves, where it publishes one.
        contexts: tokens that prompt and answer share, of the models for which that is known, by
            the last part of their names.
        model: what to call the model where the service names none.
        must_stream: whether a whole answer has to be asked for as a stream.
        repair: another body to try once after an error; None to give up.
        errands: what has to be done before a call, from its body and its checked parameters.
        cancel: path and body of the request that stops a running stream, from its decoder.
    """

    backend: Backend
    path: str
    params: type[Params]
    encode: Callable[[Prompt, dict[str, Any], bool], dict[str, Any]]
    decode: Callable[[Any], Completion]
    decoder: Callable[[Mapping[str, Any]], Decoder]
    required: tuple[str, ...] = ()
    framing: Callable[[str], Framing] = event_stream
    accept: str | Callable[[Mapping[str, Any]], str] = "text/event-stream"
    kind: str | None = None
    cites: bool = False
    markers: bool = True
    thinks: bool = False
    chat: bool = True
    parts: frozenset[str] = frozenset()
    formats: frozenset[str] = frozenset()
    models: Operation[Any] | None = None
    contexts: Mapping[str, int] = field(default_factory=dict)
    model: str | None = None
    must_stream: Callable[[Mapping[str, Any]], bool] = field(default=lambda _: False)
    repair: Callable[[Exception, dict[str, Any]], dict[str, Any] | None] = field(
        default=lambda _error, _body: None
    )
    errands: Callable[[dict[str, Any], Mapping[str, Any]], Iterable[Errand]] = field(
        default=lambda _body, _params: ()
    )
    cancel: Callable[[Any, Mapping[str, Any]], tuple[str, dict[str, Any]] | None] = field(
        default=lambda _decoder, _body: None
    )

    common = *COMMON, "stop"

    @property
    def stops(self) -> bool:
        """Whether the service itself takes stop sequences."""
        return self.takes("stop")

    def accepted(self, params: Mapping[str, Any]) -> str:
        """Return the Accept header of a streamed call with these parameters."""
        return self.accept if isinstance(self.accept, str) else self.accept(params)

    def context_of(self, model: str | None) -> int | None:
        """Return the tokens that prompt and answer share; None where that is not known."""
        return self.contexts.get((model or "").rpartition("/")[2])


@cache
def _names(params: type[Params]) -> KeysView[str]:
    """Return the names of a model's fields, which pydantic looks up anew each time."""
    return params.model_fields.keys()


@cache
def _places(path: str) -> frozenset[str]:
    """Return the names of the placeholders in a path."""
    return frozenset(name for _, name, _, _ in Formatter().parse(path) if name)


LEAVE_OUT = "leave it out"
"""How the advice begins on a name for which there is nothing to write."""

_OF_OTHERS: Mapping[str, str] = {
    **dict.fromkeys(("fireworks_api_key", "pplx_api_key", "qaip_api_key"), "api_key=..."),
    "fireworks_api_base": "base_url=...",
    "request_timeout": "timeout=...",
    "model_name": "model=...",
    "model_kwargs": "what it holds as arguments of their own, or extra_body={...}",
    **dict.fromkeys(("headers", "extra_headers"), "default_headers={...} when the object is made"),
    "stream_usage": 'stream_options={"include_usage": ...}',
    "is_function_calling": "is_function_calling_model=...",
    "reuse_client": f"{LEAVE_OUT}: connections are kept, and http_client=... takes your own client",
    "use_responses_api": "the class for Perplexity's agent instead, without it",
}
"""What to write instead of names that other packages have; see docs/migration."""


def refuse_unknown(
    given: Mapping[str, Any],
    known: Sequence[str],
    owner: str,
    elsewhere: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Raise for the first name that is not known, with what to write instead, or the nearest."""
    for name in given:
        if name not in known:
            if instead := elsewhere.get(name) or _OF_OTHERS.get(name):
                do = instead if instead.startswith(LEAVE_OUT) else f"write {instead}"
                raise InvalidParameterError(f"{owner} has no parameter {name!r}: {do}")
            import difflib

            near = difflib.get_close_matches(name, known, 1)
            takes = ", ".join(dict.fromkeys(known))
            hint = f"Did you mean {near[0]!r}?" if near else f"It takes: {takes}."
            raise InvalidParameterError(
                f"{owner} has no parameter {name!r}. {hint} "
                "What is not modelled yet can be sent with extra_body={...}."
            )


def faults(error: ValidationError, whole: str = "parameters") -> str:
    """Return what pydantic objects to, in one line and without the values.

    Parameters:
        whole: what to call the object itself.
    """
    return "; ".join(
        f"{'.'.join(map(str, e['loc'])) or whole}: {_fault(e.get('ctx', {}), e['msg'])}"
        for e in error.errors(include_url=False, include_input=False)
    )


def _fault(context: Mapping[str, Any], message: str) -> str:
    own = context.get("error")  # one of ours has said where to read more: it is said once, outside
    return own.message if isinstance(own, ServiceError) else message.removeprefix("Value error, ")


def invalid(error: ValidationError, owner: str) -> InvalidParameterError:
    """Return our error for pydantic's, without the values."""
    return InvalidParameterError(f"{owner}: {faults(error)}")
