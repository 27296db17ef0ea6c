"""From a prompt and its parameters to a checked call. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

from pydantic_core import to_json

from qaip_core.backend import Endpoint
from qaip_core.connection import Settings
from qaip_core.errors import InvalidParameterError
from qaip_core.flow import Ask, Call, Send
from qaip_core.operation import Operation, Upload
from qaip_core.packing import ACCEPTED
from qaip_core.types import Prompt
from qaip_core.version import DISTRIBUTION, version

__all__ = ["Caller", "extra_of"]


_UNCHANGING = frozenset({str, int, float, bool})
_WITHOUT_BODY = frozenset({"GET", "DELETE"})
_ADDRESSES = 16


def _nothing() -> None:
    """Return what a client becomes in a pickle or a copy."""


class Caller:
    """Makes the calls of one service; what is left to a client is to send them.

    Parameters:
        settings: from `Connection.settings`.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._forms: dict[tuple[str, str, bool], _Form] = {}
        self._checked: tuple[Any, ...] = None, {}, {}, {}
        self._kept: dict[str, Any] = {}

    def __reduce__(self) -> tuple[Callable[[], None], tuple[()]]:
        """Pickle, and copy, as None: connections stay where they are."""
        return _nothing, ()

    def call(
        self,
        endpoint: Endpoint,
        prompt: Prompt,
        values: Mapping[str, Any],
        *,
        stream: bool,
        bare: bool = False,
    ) -> Call:
        """Return a checked call; nothing is sent.

        Parameters:
            endpoint: the operation.
            prompt: a text, or the turns of a conversation.
            values: its parameters by their Python names, plus ``stop`` (a string or several,
                cut on this side where the service has none) and ``extra_body``.
            stream: whether to ask for a stream.
            bare: whether plain text is handed out as such.

        Raises:
            InvalidParameterError: a name is unknown or a value out of range.
        """
        if not isinstance(prompt, str) and not prompt:
            raise InvalidParameterError("a conversation needs at least one message")
        given = dict(values)
        extra = extra_of(given.pop("extra_body", None))
        stops = () if endpoint.stops else _as_stops(given.pop("stop", None))
        params = self._params(endpoint, given)
        settings = self.settings
        more = {**settings.extra_body, **extra}
        known = {**params, **more}
        stream = stream or endpoint.must_stream(known)
        path, rest = endpoint.at(params)
        body: dict[str, Any] = endpoint.encode(prompt, rest, stream)
        errands = endpoint.errands(body, known)
        return Call(
            **self._common(_joined(settings.base_url, path)),
            endpoint=endpoint,
            body={**body, **more},
            policy=settings.policy,
            accept=endpoint.accepted(known) if stream else "application/json",
            repair=endpoint.repair,
            stream=stream,
            bare=bare,
            stops=stops,
            params=known,
            errands=[(e, self.asking(e.operation, e.values)) for e in errands] if errands else (),
            kept=self._kept,
        )

    def _params(self, endpoint: Endpoint, given: dict[str, Any]) -> dict[str, Any]:
        """Return the checked parameters; what was checked for the last call is not checked anew."""
        kinds = {name: type(value) for name, value in given.items()}
        known, same, same_kinds, params = self._checked  # as one: other threads have calls, too
        if known is not endpoint or same_kinds != kinds or same != given:  # foreign == may raise
            params = endpoint.check(given)
            if _UNCHANGING.issuperset(kinds.values()):
                self._checked = endpoint, given, kinds, params
        return dict(params)

    def asking(self, operation: Operation[Any], values: Mapping[str, Any]) -> Ask:
        """Return the request of an operation.

        Parameters:
            operation: what is asked for.
            values: its parameters by their Python names, plus ``extra_body``, which goes where
                they go.

        Raises:
            InvalidParameterError: a name is unknown or a value out of range.
        """
        settings = self.settings
        given = dict(values)
        extra = extra_of(given.pop("extra_body", None))
        path, params = operation.at(operation.check(given))
        params.update(extra)
        in_url = operation.method in _WITHOUT_BODY
        url = _joined(operation.base(settings.base_url), path)
        url += _query(params) if in_url else ""
        policy = settings.policy
        return Ask(
            **self._common(url),
            method=operation.method,
            body=None if in_url else operation.encode(params),
            policy=replace(policy, retry_unanswered=True) if operation.is_safe else policy,
        )

    def _common(self, url: str) -> dict[str, Any]:
        settings = self.settings
        return {
            "backend": settings.backend,
            "url": url,
            "headers": settings.headers,
            "env": settings.backend.key_env[0],
            "key_from": settings.key_from,
            "fresh_key": callable(settings.key),
            "forget_key": getattr(settings.key, "forget", None),
        }

    def headers(self, headers: Mapping[str, str], key: str | None) -> dict[str, str]:
        """Return all headers of a request, names in lower case."""
        backend = self.settings.backend
        auth = {backend.key_header.lower(): backend.key_prefix + key} if key else {}
        return {
            "user-agent": f"{DISTRIBUTION}/{version()}",
            "content-type": "application/json",
            "accept-encoding": ACCEPTED,
            **{name.lower(): value for name, value in headers.items()},
            **auth,
        }

    def request(self, http: Any, step: Send, key: str | None, *, own: bool = False) -> Any:
        """Return the httpx request of a step.

        Parameters:
            http: the client that is to send it.
            step: what to send.
            key: the key, if there is one.
            own: whether that client was made here.
        """
        content = step.content
        if own and step.method == "POST" and isinstance(content, bytes) and not http.cookies:
            return self._like_others(http, step, key, content)
        headers = self.headers(step.headers, key)
        body: dict[str, Any] = {"content": content}
        if isinstance(content, Upload):
            del headers["content-type"]  # httpx writes it, with the boundary of the form
            file = content.name, content.content, content.media_type
            body = {"data": dict(content.fields), "files": {"file": file}}
        return http.build_request(
            step.method,
            step.url,
            headers=headers,
            timeout=tuple(self.settings.timeouts.values()),  # httpx2 does not take httpx's class
            **body,
        )

    def _like_others(self, http: Any, step: Send, key: str | None, content: bytes) -> Any:
        """Return a request which differs from others in key and content only."""
        name = self.settings.backend.key_header.lower().encode()
        at = step.url, step.headers["accept"], bool(key)  # the other headers are the same for all
        form = self._forms.get(at)
        if form is None:
            if len(self._forms) >= _ADDRESSES:  # some hold ids, which do not come again
                self._forms.clear()
            first = self.request(http, step, None)
            form = self._forms[at] = _Form(first, name if key else b"")
        auth = ((name, (self.settings.backend.key_prefix + key).encode()),) if key else ()
        return form.filled(content, self.settings.timeouts, auth)

    def cancellation(self, call: Call) -> tuple[str, bytes] | None:
        """Return URL and body of the request that ends a run whose reader has left."""
        decoder = call.decoder
        body = call.body if isinstance(call.body, dict) else {}
        stop = None if decoder is None else call.endpoint.cancel(decoder, body)
        return (_joined(self.settings.base_url, stop[0]), to_json(stop[1])) if stop else None


def _joined(base: str, path: str) -> str:
    """Return the URL of a call; a version that both of its parts name stands in it once."""
    return base.removesuffix("/v1") + path if path.startswith("/v1/") else base + path


class _Form:
    """Makes requests that differ in key and content only.

    To read the URL and to merge the headers of each would take a tenth of a whole call.

    Parameters:
        first: one of them, as httpx builds it.
        key_header: the header that is not taken from there, in lower case.
    """

    def __init__(self, first: Any, key_header: bytes) -> None:
        self._first = first
        varying = b"content-length", key_header
        self._headers = [h for h in first.headers.raw if h[0].lower() not in varying]

    def filled(
        self,
        content: bytes,
        timeouts: Mapping[str, float | None],
        auth: Sequence[tuple[bytes, bytes]],
    ) -> Any:
        """Return a request.

        Parameters:
            content: its body.
            timeouts: seconds for each phase.
            auth: the header that holds the key, if there is one.
        """
        first = self._first
        return type(first)(
            first.method,
            first.url,
            headers=[*self._headers, *auth, (b"content-length", b"%d" % len(content))],
            stream=type(first.stream)(content),
            extensions={"timeout": timeouts},
        )


def extra_of(given: Any) -> Mapping[str, Any]:
    """Return the ``extra_body`` of a call.

    Raises:
        InvalidParameterError: it is no mapping.
    """
    if given and not isinstance(given, Mapping):
        raise InvalidParameterError(f"extra_body takes a dict, not {type(given).__name__}")
    return given or {}


def _query(params: Mapping[str, Any]) -> str:
    """Return parameters as they stand at the end of a URL."""
    try:
        query = urlencode({k: _in_query(v) for k, v in params.items()}, doseq=True)
    except UnicodeEncodeError:
        raise InvalidParameterError("a parameter holds half of a character") from None
    return f"?{query}" if query else ""


def _in_query(value: Any) -> Any:
    """Return a value as it stands in a URL."""
    return str(value).lower() if isinstance(value, bool) else value


def _as_stops(stop: Any) -> Sequence[str]:
    return (stop,) if isinstance(stop, str) else tuple(stop or ())
