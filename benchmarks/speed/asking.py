"""How each library is asked, under the same names: a stream read to its end, an answer, many.

A method that a library has no way for is not there.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Any

import httpx

__all__ = ["AT_ONCE", "QUESTION", "Core", "Dify", "LangChain", "LiteLLM", "Llama", "Raw", "Sdk"]

QUESTION = "How is tea kept?"
AT_ONCE = 50
"""How many calls of a batch are under way at a time."""
_TURNS = [{"role": "user", "content": QUESTION}]
_DONE = "data: [DONE]"
_LIMITS = httpx.Limits(max_connections=None, max_keepalive_connections=100)


def read(pieces: Iterable[Any]) -> int:
    """Read a stream to its end, and return how much came."""
    count = 0
    for _ in pieces:
        count += 1
    return count


async def aread(pieces: AsyncIterable[Any]) -> int:
    """Read a stream to its end, and return how much came; see `read`."""
    count = 0
    async for _ in pieces:
        count += 1
    return count


class _Awaited:
    """Many calls at a time, for what can be awaited."""

    async def abatch(self, count: int) -> None:
        gate = asyncio.Semaphore(AT_ONCE)

        async def one() -> None:
            async with gate:
                await self.acall()

        await asyncio.gather(*(one() for _ in range(count)))

    async def acall(self) -> None:
        raise NotImplementedError


class _Asked(_Awaited):
    """Many calls at a time, for what can be called, too."""

    def batch(self, count: int) -> None:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for made in [pool.submit(self.call) for _ in range(count)]:
                made.result()

    def call(self) -> None:
        raise NotImplementedError


class Raw(_Asked):
    """httpx and json, as one would write it by hand; nothing is checked."""

    def __init__(self, url: str) -> None:
        self._url = f"{url}/chat/completions"
        self._body = {"model": "m-1", "messages": _TURNS}

    @cached_property
    def _sync(self) -> httpx.Client:
        return httpx.Client(limits=_LIMITS)

    @cached_property
    def _async(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(limits=_LIMITS)

    def stream(self) -> int:
        asked = {**self._body, "stream": True}
        with self._sync.stream("POST", self._url, json=asked) as response:
            return sum(map(_decoded, response.iter_lines()))

    async def astream(self) -> int:
        asked = {**self._body, "stream": True}
        async with self._async.stream("POST", self._url, json=asked) as response:
            count = 0
            async for line in response.aiter_lines():
                count += _decoded(line)
            return count

    def call(self) -> None:
        json.loads(self._sync.post(self._url, json=self._body).content)

    async def acall(self) -> None:
        json.loads((await self._async.post(self._url, json=self._body)).content)


def _decoded(line: str) -> bool:
    if line.startswith("data: ") and line != _DONE:
        json.loads(line[6:])
        return True
    if line.startswith("{"):
        json.loads(line)
        return True
    return False


class Decode:
    """json.loads of each event's bytes, which are there already."""

    def __init__(self, events: Iterable[bytes]) -> None:
        self._texts = [event.strip().removeprefix(b"data: ") for event in events]

    def stream(self) -> int:
        return sum(json.loads(text) is not None for text in self._texts)


class Core(_Asked):
    """This project without a framework, over the model that configures it."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._call = model.endpoint, QUESTION, model.values({})

    def stream(self) -> int:
        return read(self._model.client.stream(*self._call))

    async def astream(self) -> int:
        return await aread(self._model.async_client.stream(*self._call))

    def call(self) -> None:
        self._model.client.complete(*self._call)

    async def acall(self) -> None:
        await self._model.async_client.complete(*self._call)


class LangChain:
    """Any chat model or text LLM of LangChain."""

    def __init__(self, model: Any, *, events: bool = False) -> None:
        self._model = model
        self.prepare = getattr(model, "prepare", lambda: None)
        if events:
            self.events, self.aevents = self._events, self._aevents

    def stream(self) -> int:
        return read(self._model.stream(QUESTION))

    async def astream(self) -> int:
        return await aread(self._model.astream(QUESTION))

    def _events(self) -> int:
        return read(self._model.stream_events(QUESTION, version="v3"))

    async def _aevents(self) -> int:
        return await aread(await self._model.astream_events(QUESTION, version="v3"))

    def call(self) -> None:
        self._model.invoke(QUESTION)

    async def acall(self) -> None:
        await self._model.ainvoke(QUESTION)

    def batch(self, count: int) -> None:
        self._model.batch([QUESTION] * count, {"max_concurrency": AT_ONCE})

    async def abatch(self, count: int) -> None:
        await self._model.abatch([QUESTION] * count, {"max_concurrency": AT_ONCE})


class Llama(_Asked):
    """Any LLM of LlamaIndex, asked by chat or by complete."""

    def __init__(self, model: Any, *, chat: bool = True) -> None:
        from llama_index.core.llms import ChatMessage

        name = "chat" if chat else "complete"
        ways = (f"{way}{name}" for way in ("", "a", "stream_", "astream_"))
        self._call, self._acall, self._stream, self._astream = (getattr(model, w) for w in ways)
        self._asked = [ChatMessage(QUESTION)] if chat else QUESTION
        self.prepare = getattr(model, "prepare", lambda: None)

    def stream(self) -> int:
        return read(self._stream(self._asked))

    async def astream(self) -> int:
        return await aread(await self._astream(self._asked))

    def call(self) -> None:
        self._call(self._asked)

    async def acall(self) -> None:
        await self._acall(self._asked)


class Sdk(_Asked):
    """A vendor's clients whose ``chat.completions.create`` is that of OpenAI's.

    Parameters:
        sync, awaited: make the clients.
    """

    def __init__(self, sync: Callable[[], Any], awaited: Callable[[], Any]) -> None:
        self._clients = sync, awaited
        self._asked: Any = {"model": "sonar", "messages": _TURNS}

    @cached_property
    def _create(self) -> Any:
        return self._clients[0]().chat.completions.create

    @cached_property
    def _acreate(self) -> Any:
        return self._clients[1]().chat.completions.create

    def stream(self) -> int:
        return read(self._create(**self._asked, stream=True))

    async def astream(self) -> int:
        return await aread(await self._acreate(**self._asked, stream=True))

    def call(self) -> None:
        self._create(**self._asked)

    async def acall(self) -> None:
        await self._acreate(**self._asked)


class LiteLLM(_Asked):
    """litellm's two functions."""

    def __init__(self, url: str) -> None:
        import litellm

        self._litellm: Any = litellm
        given = {"model": "openai/m-1", "api_base": url, "api_key": "k", "num_retries": 0}
        self._asked: Any = {**given, "messages": _TURNS}

    def stream(self) -> int:
        return read(self._litellm.completion(**self._asked, stream=True))

    async def astream(self) -> int:
        return await aread(await self._litellm.acompletion(**self._asked, stream=True))

    def call(self) -> None:
        self._litellm.completion(**self._asked)

    async def acall(self) -> None:
        await self._litellm.acompletion(**self._asked)


class Dify(_Asked):
    """dify-client, which hands out the response as it comes: its lines are decoded here."""

    def __init__(self, url: str) -> None:
        from dify_client import CompletionClient

        self._client = CompletionClient("k")
        self._client.base_url = url
        self.acall = self.abatch = None  # type: ignore[method-assign,assignment]

    def _response(self, mode: str) -> Any:
        return self._client.create_completion_message({"query": QUESTION}, mode, "keeper-1")

    def stream(self) -> int:
        return sum(map(_decoded, self._response("streaming").iter_lines(decode_unicode=True)))

    def call(self) -> None:
        self._response("blocking").json()
