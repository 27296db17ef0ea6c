"""`Service` and `Searching`: what the classes of both frameworks have in common.

A framework class mixes in the parameters of its endpoint, this, and the framework's base::

    class ChatPerplexity(PerplexityParams, _Chat): endpoint = perplexity.CHAT
"""

import copy
import logging
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self, TypeAlias, cast

from pydantic import Field, PrivateAttr, SecretStr, ValidationError

from qaip_core.backend import COMMON, Endpoint, Stops, T, invalid, refuse_unknown
from qaip_core.calls import extra_of
from qaip_core.client import AsyncClient, Client
from qaip_core.connection import TRANSIENT, Connection, environment
from qaip_core.errors import InvalidParameterError
from qaip_core.operation import Operation
from qaip_core.types import Citation

__all__ = ["Connected", "Found", "Searching", "Service"]

logger = logging.getLogger("qaip_core")

_UNPACKED = (
    " The object came in a pickle, which holds no key: set the variable in this process too, or "
    "make the object with a function of a module as api_key (docs/how-to/workers.md)."
)


class _Signature:
    """Builds a class before it is asked how it is called: else one of its bases would answer.

    Classes are built at their first use (``defer_build``), which is later than `help` may ask.
    """

    def __get__(self, instance: object, owner: "type[Connected]") -> Any:
        owner.model_rebuild()
        return owner.__signature__


class Connected(Connection):
    """Anything that reaches one service: its parameters, its key, its clients."""

    _client: Client | None = PrivateAttr(default=None)
    _async_client: AsyncClient | None = PrivateAttr(default=None)
    _has_left_its_key: bool = PrivateAttr(default=False)

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        """Let each class tell its own signature, not that of a base which was used earlier."""
        super().__pydantic_init_subclass__(**kwargs)
        if not cls.__pydantic_complete__:
            cls.__signature__ = cast("Any", _Signature())

    def __new__(cls, *unnamed: Any, **_: Any) -> Self:
        """Refuse unnamed arguments in words; ``__init__`` would count them."""
        if unnamed:
            raise TypeError(
                f"{cls.__name__} takes its arguments by name, such as {cls.__name__}(api_key=...)"
            )
        return super().__new__(cls)

    def __init__(self, **data: Any) -> None:
        owner = type(self).__name__
        data = self._action.by_name(data)
        asked = self._action.params
        refuse_unknown(data, [*type(self).model_fields, *asked.synonyms], owner, asked.elsewhere)
        try:
            super().__init__(**data)
        except ValidationError as error:
            raise invalid(error, owner) from None
        backend = self._action.backend
        if self.api_key is None and (found := environment(backend.key_env)):
            self.api_key = SecretStr(found)
        self.settings(backend)  # a wrong key or URL shows here, not at the first call

    def model_post_init(self, context: Any, /) -> None:
        """Let the framework's base have its turn: private attributes alone would cut it off."""
        super().model_post_init(context)

    @property
    def _action(self) -> Endpoint | Operation[Any]:
        """What the service is asked for."""
        raise NotImplementedError

    @property
    def client(self) -> Client:
        """The client for sync calls, made at the first one."""
        if self._client is None:
            self._client = Client(self.settings(self._action.backend))
        return self._client

    @property
    def async_client(self) -> AsyncClient:
        """The client for async calls, made at the first one."""
        if self._async_client is None:
            self._async_client = AsyncClient(self.settings(self._action.backend))
        return self._async_client

    def fetch(self, operation: Operation[T], values: Mapping[str, Any] | None = None) -> T:
        """Return what another operation of the same service answers.

        Parameters:
            operation: what is asked for.
            values: its parameters by their Python names; those that are None are not sent.

        Raises:
            ServiceError: see `qaip_core.errors`.
        """
        return self.client.fetch(operation, values)

    async def afetch(self, operation: Operation[T], values: Mapping[str, Any] | None = None) -> T:
        """Do what `fetch` does, without blocking."""
        return await self.async_client.fetch(operation, values)

    def _overlaid(self, call: Mapping[str, Any]) -> dict[str, Any]:
        """Return the parameters of one call: those of the object, overlaid by the call's own."""
        fields, action = vars(self), self._action
        own = {n: fields[n] for n in action.names if fields.get(n) is not None}
        return own | {k: v for k, v in action.by_name(call).items() if v is not None}

    def _extra(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Return what goes into the body of an operation as it is; see `_overlaid`."""
        return {**(self.extra_body or {}), **extra_of(asked.get("extra_body"))}

    def close(self) -> None:
        """Close the connections of sync calls; the object can be used again."""
        if self._client is not None:
            self._client.close()

    async def aclose(self) -> None:
        """Close the connections of async calls in this event loop, and those of sync calls."""
        self.close()
        await self._leave_loop()

    async def _leave_loop(self) -> None:
        """Close the connections of async calls in this event loop; others go on."""
        if self._async_client is not None:
            await self._async_client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def _sent(self) -> Self:
        sent = super()._sent()
        fields = vars(sent)
        if self.api_key is not None and fields["api_key"] is None:
            sent._has_left_its_key = True  # noqa: SLF001 -- its own
        if self._given_url is None:  # so each process asks the same service
            fields["base_url"] = environment(self._action.backend.url_env)
        return sent

    @property
    def _hint(self) -> str:
        return _UNPACKED if self._has_left_its_key else ""

    def __copy__(self) -> Self:
        copied = super().__copy__()
        copied._client = copied._async_client = None  # noqa: SLF001 -- its own clients
        return copied

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        copied = self.__copy__()
        fields = vars(copied)
        for name, value in fields.items():
            if name not in TRANSIENT:
                fields[name] = copy.deepcopy(value, memo)
        return copied


class Service(Connected):
    """An endpoint with its parameters, its connection, and its clients.

    The fields declared here are the names that every class takes, since applications pass them
    to any model. Where the service has no such parameter they are not sent (a log line says
    so); ``stop`` is then cut on this side.

    Parameters:
        model: the model; ignored where the service chooses it.
        temperature: ignored where the service has none.
        max_tokens: ignored where the service has none.
        stop: sequences at which the answer ends.
        stop_sequences: the other name that applications give ``stop``.
    """

    endpoint: ClassVar[Endpoint]

    model: str | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    stop: Stops = None
    stop_sequences: Stops = Field(default=None, exclude=True, repr=False)

    def __init__(self, **data: Any) -> None:
        if "stop_sequences" in data:
            data.setdefault("stop", data.pop("stop_sequences"))
        super().__init__(**data)
        self._ignored(data)

    @property
    def _action(self) -> Endpoint:
        return self.endpoint

    def values(self, call: Mapping[str, Any]) -> dict[str, Any]:
        """Return the parameters of one call: those of the object, overlaid by the call's own."""
        merged = self._overlaid(call)
        if self.stop is not None:  # known to each class, though not to each service
            merged.setdefault("stop", self.stop)
        for name in self._ignored(merged):
            del merged[name]
        return merged

    def _ignored(self, given: Mapping[str, Any]) -> list[str]:
        """Return those of the common names that the service has no parameter for, and say so."""
        names = [
            name for name in COMMON if given.get(name) is not None and not self.endpoint.takes(name)
        ]
        for name in names:
            logger.info("%s has no %s: not sent", self.endpoint.backend.title, name)
        return names

    @property
    def model_label(self) -> str:
        """The name of the model; a constant where the service does not name one."""
        return self.endpoint.model or self.model or self.endpoint.backend.name


Found: TypeAlias = Sequence[Citation]
"""What a search finds, best first."""


class Searching(Connected):
    """A search that finds passages, with its parameters, its connection, and its clients.

    A class of it mixes in the parameters of its operation, without the query::

        class PerplexitySearch(SearchParams, Searching): operation = perplexity.SEARCH
    """

    operation: ClassVar[Operation[Found]]

    query_name: ClassVar[str] = "query"
    """The parameter that takes the query."""

    count_name: ClassVar[str]
    """The parameter that says how many passages are wanted."""

    @property
    def _action(self) -> Operation[Found]:
        return self.operation

    def asked(self, query: str, count: int | None, call: Mapping[str, Any]) -> dict[str, Any]:
        """Return the parameters of one search: those of the object, overlaid by the call's own.

        Parameters:
            query: what is looked for.
            count: how many passages are wanted; None for what the object or the service says.
            call: further parameters.
        """
        asked = self._overlaid(call)
        if self.query_name in asked:
            raise InvalidParameterError(f"{self.query_name!r} is the query, which is given already")
        wanted = {} if count is None else {self.count_name: count}
        return {**asked, **wanted, self.query_name: query, "extra_body": self._extra(asked)}

    def search(self, query: str, *, count: int | None = None, **call: Any) -> Found:
        """Return the passages that the service finds, best first.

        Parameters:
            query: what is looked for.
            count: how many passages are wanted; None for what the object or the service says.
            call: parameters of the service, for this search.

        Raises:
            InvalidParameterError: a parameter is unknown or out of range.
            ServiceError: see `qaip_core.errors`.
        """
        return self.fetch(self.operation, self.asked(query, count, call))

    async def asearch(self, query: str, *, count: int | None = None, **call: Any) -> Found:
        """Do what `search` does, without blocking."""
        return await self.afetch(self.operation, self.asked(query, count, call))
