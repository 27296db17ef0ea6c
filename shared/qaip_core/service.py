"""`Service`: what the classes of both frameworks have in common.

A framework class mixes in the parameters of its endpoint, this, and the framework's base::

    class ChatPerplexity(PerplexityParams, _Chat): endpoint = perplexity.CHAT
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Mapping
from typing import Any, ClassVar, Self, cast

from pydantic import Field, PrivateAttr, SecretStr, ValidationError

from qaip_core.backend import COMMON, Endpoint, Stops, invalid, refuse_unknown
from qaip_core.client import AsyncClient, Client
from qaip_core.connection import TRANSIENT, Connection, environment

__all__ = ["Service"]

logger = logging.getLogger("qaip_core")


class _Signature:
    """Builds a class before it is asked how it is called: else one of its bases would answer.

    Classes are built at their first use (``defer_build``), which is later than `help` may ask.
    """

    def __get__(self, instance: object, owner: type[Service]) -> Any:
        owner.model_rebuild()
        return owner.__signature__


class Service(Connection):
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

    _client: Client | None = PrivateAttr(default=None)
    _async_client: AsyncClient | None = PrivateAttr(default=None)

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        """Let each class tell its own signature, not that of a base which was used earlier."""
        super().__pydantic_init_subclass__(**kwargs)
        if not cls.__pydantic_complete__:
            cls.__signature__ = cast("Any", _Signature())

    def __init__(self, **data: Any) -> None:
        if "stop_sequences" in data:
            data.setdefault("stop", data.pop("stop_sequences"))
        owner = type(self).__name__
        data = self.endpoint.by_name(data)
        refuse_unknown(data, [*type(self).model_fields, *self.endpoint.params.synonyms], owner)
        try:
            super().__init__(**data)
        except ValidationError as error:
            raise invalid(error, owner) from None
        self._ignored(data)
        if self.api_key is None and (found := environment(self.endpoint.backend.key_env)):
            self.api_key = SecretStr(found)
        self.settings(self.endpoint.backend)  # a wrong key or URL shows here, not at the first call

    def model_post_init(self, context: Any, /) -> None:
        """Let the framework's base have its turn: private attributes alone would cut it off."""
        super().model_post_init(context)

    @property
    def client(self) -> Client:
        """The client for sync calls, made at the first one."""
        if self._client is None:
            self._client = Client(self.settings(self.endpoint.backend))
        return self._client

    @property
    def async_client(self) -> AsyncClient:
        """The client for async calls, made at the first one."""
        if self._async_client is None:
            self._async_client = AsyncClient(self.settings(self.endpoint.backend))
        return self._async_client

    def values(self, call: Mapping[str, Any]) -> dict[str, Any]:
        """Return the parameters of one call: those of the object, overlaid by the call's own."""
        fields = vars(self)
        merged = {n: v for n in (*self.endpoint.names, "stop") if (v := fields[n]) is not None}
        given = self.endpoint.by_name(call)
        merged.update({k: v for k, v in given.items() if v is not None})
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

    def close(self) -> None:
        """Close the connections of sync calls; the object can be used again."""
        if self._client is not None:
            self._client.close()

    async def aclose(self) -> None:
        """Close the connections of async calls in this event loop, and those of sync calls."""
        self.close()
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
