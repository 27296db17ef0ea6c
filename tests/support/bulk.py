"""Asks a service through the core alone, or a function, as bulk runs ask models of frameworks."""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import SecretStr

from qaip_core import AsyncClient, Connection
from qaip_core.backends import perplexity
from qaip_core.bulk.record import Answered

__all__ = ["CoreAsker", "Doing"]


@dataclass
class CoreAsker:
    """Asks Perplexity's chat; it makes its client where it is used."""

    url: str
    key: str
    fields: Mapping[str, Any] = field(default_factory=dict)

    async def ask(self, question: Any) -> Answered:
        values = {"model": "sonar"}
        answer = await self._client().complete(perplexity.CHAT, str(question), values)
        usage = answer.usage
        counts = usage and {
            "input_tokens": usage.input_tokens,
            "output_tokens": usage.output_tokens,
            "total_tokens": usage.total_tokens,
        }
        citations = [json.loads(json.dumps(c.as_dict())) for c in answer.citations]
        return Answered(answer.text, citations, counts, model=answer.model)

    async def aclose(self) -> None:
        await self._client().close()

    def describe(self) -> str:
        return "Perplexity sonar"

    def _client(self) -> AsyncClient:
        known = self.__dict__.get("_made")
        if known is None:
            connection = Connection(api_key=SecretStr(self.key), base_url=self.url, **self.fields)
            known = self.__dict__["_made"] = AsyncClient(connection.settings(perplexity.PERPLEXITY))
        return known

    def __getstate__(self) -> dict[str, Any]:
        return {"url": self.url, "key": self.key, "fields": self.fields}


@dataclass
class Doing:
    """Asks a function."""

    function: Callable[[Any], Awaitable[Answered]]

    async def ask(self, question: Any) -> Answered:
        return await self.function(question)

    async def aclose(self) -> None:
        pass

    def describe(self) -> str:
        return "a function"
