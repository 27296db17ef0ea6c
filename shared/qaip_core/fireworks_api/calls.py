"""One call: the request as it is sent, and its answer as response objects."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from contextlib import aclosing, closing
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

from pydantic import BaseModel
from pydantic_core import from_json

from qaip_core.backend import Endpoint, Params
from qaip_core.backends.fireworks import CHAT, FIREWORKS
from qaip_core.connection import Settings
from qaip_core.fireworks_api import connections
from qaip_core.fireworks_api.errors import translated_errors
from qaip_core.fireworks_api.log import logger
from qaip_core.fireworks_api.models import read
from qaip_core.framing import Event
from qaip_core.types import Choice, Completion

__all__ = ["Call"]

_RESPONSES = "responses"
"""Where in an increment's ``raw`` its response objects are."""


class _Chunks:
    """Hands out the events of a stream as response objects, under the core's end rule.

    Events before the first content wait for it: until then the request may be repeated, and
    nothing may be shown twice.
    """

    def __init__(self, response: type[BaseModel], body: Mapping[str, Any]) -> None:
        self.ended = False
        self._response = response
        self._decoder = CHAT.decoder({"n": _choices(body)})
        self._waiting: list[BaseModel] = []
        self._begun = False

    def feed(self, event: Event) -> Completion | None:
        """Return what an event adds to the answer."""
        increment = self._decoder.feed(event) or Completion([])
        if isinstance(increment, str):
            increment = Completion([Choice(increment)])
        self.ended = self._decoder.ended
        chunk = None if self.ended else _parse(event.data)
        if chunk is None:
            return None
        self._waiting.append(read(self._response, chunk))
        self._begun = self._begun or any(
            c.text or c.reasoning or c.tool_calls for c in increment.choices
        )
        return self._release(increment) if self._begun else None

    def finish(self, *, cut: bool) -> Completion | None:
        """Return the closing increment; None if the answer is not complete."""
        closing = self._decoder.finish(cut=cut)
        return closing and self._release(closing)

    def rest(self) -> Completion:
        """Return what is known besides the text."""
        return self._decoder.rest()

    def _release(self, increment: Completion) -> Completion:
        increment.raw = {_RESPONSES: self._waiting}
        self._waiting = []
        return increment


def _choices(body: Mapping[str, Any]) -> Any:
    """Return how many choices to expect: ``n`` for each prompt (a list of numbers is one)."""
    prompt, n = body.get("prompt"), body.get("n")
    if isinstance(prompt, list) and prompt and not isinstance(prompt[0], int):
        return len(prompt) * (n if isinstance(n, int) else 1)
    return n


def _parse(data: bytes) -> dict[str, Any] | None:
    """Return the chunk in an event that the core has accepted; None if it says nothing."""
    if data.strip() in (b"", b"null", b"[DONE]"):
        return None
    chunk: dict[str, Any] = from_json(data.decode("utf-8", "replace"))
    return chunk if "choices" in chunk or "usage" in chunk else None


def _decode(response: type[BaseModel], body: Any) -> Completion:
    answer = CHAT.decode(body)
    answer.raw = {_RESPONSES: [read(response, body)]}
    return answer


def _responses(increment: Completion) -> Sequence[Any]:
    return cast("Sequence[Any]", (increment.raw or {})[_RESPONSES])


@dataclass(frozen=True, slots=True)
class Call:
    """One checked call; nothing is sent before it is run.

    Parameters:
        settings: from the environment.
        path: below the base URL.
        response: the class of the answer, or of its events.
        body: what is sent, verbatim.
    """

    settings: Settings
    path: str
    response: type[BaseModel]
    body: Mapping[str, Any]

    def _begin(self) -> tuple[Endpoint, str, dict[str, Any]]:
        """Log the call, and return it as the core's clients take it."""
        url = self.settings.base_url + self.path
        model, stream = self.body["model"], self.body["stream"]
        logger.debug("POST %s model=%r stream=%s", url, model, stream)
        endpoint = Endpoint(
            backend=FIREWORKS,
            path=self.path,
            params=Params,
            encode=lambda _prompt, _params, _stream: {},
            decode=partial(_decode, self.response),
            decoder=partial(_Chunks, self.response),
        )
        return endpoint, "", {"extra_body": self.body}

    def complete(self) -> Any:
        """Return the answer."""
        with translated_errors():
            client = connections.client(self.settings)
            return _responses(client.complete(*self._begin()))[0]

    async def acomplete(self) -> Any:
        """Return the answer."""
        with translated_errors():
            client = await connections.async_client(self.settings)
            return _responses(await client.complete(*self._begin()))[0]

    def stream(self) -> Generator[Any, None, None]:
        """Yield the events of the answer."""
        with translated_errors():
            client = connections.client(self.settings)
            with closing(client.stream(*self._begin())) as increments:
                for increment in increments:
                    yield from _responses(increment)

    async def astream(self) -> AsyncGenerator[Any, None]:
        """Yield the events of the answer."""
        with translated_errors():
            client = await connections.async_client(self.settings)
            async with aclosing(client.stream(*self._begin())) as increments:
                async for increment in increments:
                    for response in _responses(increment):
                        yield response
