"""Answers in a model's own words, from any OpenAI-compatible server, their markers checked."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx
from pydantic import BaseModel, ValidationError

from .addresses import is_loopback
from .answers import Answer
from .index import Hit, Index

__all__ = ["Writer", "WriterError", "Written", "checked"]

_ORDERS = (
    "Answer the question from the numbered sources only. After each sentence, cite the sources that"
    " it is taken from by their numbers in square brackets, such as [2] or [1][3]. If the sources"
    " do not hold the answer, say so in one sentence without a citation. Answer in the question's"
    " language, briefly, in plain text."
)
_THOUGHT = re.compile(r"\A\s*<think>.*?(?:</think>|\Z)\s*", re.DOTALL)
_LIST = re.compile(r"[\[【]\s*(\d{1,3}(?:\s*[,;]\s*\d{1,3})+)\s*[\]】]")
_FULL_WIDTH = re.compile(r"【\s*(\d{1,3})[^】]{0,20}】")
# A group of markers; what stands between backticks is code, whose indexes are no markers.
_CITING = re.compile(r"```.*?```|`[^`\n]*`|(\s*(?:\[\d{1,3}\]\s?)+)", re.DOTALL)
_MARKER = re.compile(r"\s*\[\d{1,3}\]")
_SUPPORT = 0.3


class WriterError(RuntimeError):
    """The server that words the answers has failed; the message says how."""


@dataclass(frozen=True, slots=True)
class Written(Answer):
    """An answer in a model's own words, with markers that count the hits from 1."""

    prose: str = ""

    def text(self, *, markers: bool = True, variant: int = 0) -> str:  # noqa: ARG002
        """Return the answer; there is one wording only, whatever the variant."""
        return self.prose if markers else self.bare()

    def bare(self, variant: int = 0) -> str:  # noqa: ARG002
        """Return the answer as text without any markers."""
        return _MARKER.sub("", self.prose)


class _Message(BaseModel):
    content: str | None = None


class _Choice(BaseModel):
    message: _Message
    finish_reason: str | None = None


class _Reply(BaseModel):
    choices: list[_Choice]


class Writer:
    """A model that words the answers: llama.cpp, vLLM, Ollama, or whatever speaks their protocol.

    It is given the retrieved passages, numbered, and is told to cite them. A marker that names no
    passage, or one that shares too few words with the sentence before it, is taken out.

    Args:
        url: The server's base URL, with its version: `http://localhost:11434/v1`.
        model: The name of the model there.
        api_key: Its key, or None where it wants none.
        timeout: The longest silence before an answer, in seconds, above 0.

    Raises:
        ValueError: the URL is not one of http or https, the time is not above 0, or a key would
            be sent over plain http to another machine.
    """

    def __init__(
        self, url: str, model: str, *, api_key: str | None = None, timeout: float = 300.0
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
            raise ValueError(
                "not the address of a server (http or https, a key apart):"
                " try http://localhost:11434/v1"
            )
        here = is_loopback(parts.hostname)
        if api_key and parts.scheme == "http" and not here:
            raise ValueError(f"a key is not sent over plain http to {parts.hostname}: use https")
        if not 0 < timeout < float("inf"):
            raise ValueError("timeout must be above 0 seconds")
        self.model = model
        self.url = url.rstrip("/").removesuffix("/chat/completions")
        self._headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._timeout = timeout
        # A server on this machine is never behind a proxy.
        self._trust_env = not here

    async def write(self, index: Index, question: str, answer: Answer) -> Answer:
        """Word an answer to `question` from the hits of `answer`.

        Raises:
            WriterError: the server cannot be reached, refuses, or does not say anything.
        """
        sources = "\n\n".join(_numbered(n, hit) for n, hit in enumerate(answer.hits, 1))
        body = {
            "model": self.model,
            "messages": [
                {"role": "system", "content": _ORDERS},
                {"role": "user", "content": f"Sources:\n\n{sources}\n\nQuestion: {question}"},
            ],
            "temperature": 0,
        }
        said = _THOUGHT.sub("", _text(await self._post(body))).strip()
        if not said:
            raise WriterError(f"the model {self.model} at {self.url} said nothing")
        prose = checked(index, said, answer.hits)
        return Written(answer.quotes, answer.hits, answer.numbered, prose)

    async def _post(self, body: Any) -> bytes:
        timeout = httpx.Timeout(self._timeout, connect=5)
        try:
            async with httpx.AsyncClient(timeout=timeout, trust_env=self._trust_env) as client:
                response = await client.post(
                    f"{self.url}/chat/completions", json=body, headers=self._headers
                )
        except httpx.HTTPError as error:
            why = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
            raise WriterError(f"the server at {self.url} cannot be asked: {why}") from error
        if response.status_code != 200:
            raise WriterError(
                f"the server at {self.url} answered {response.status_code}: {response.text[:300]}"
            )
        return response.content


def checked(index: Index, text: str, hits: Sequence[Hit]) -> str:
    """Return `text` with those markers only that stand behind what their source says."""
    text = _FULL_WIDTH.sub(r"[\1]", text)
    text = _LIST.sub(lambda found: "".join(f"[{n}]" for n in re.findall(r"\d+", found[1])), text)

    parts: list[str] = []
    end = 0
    for found in _CITING.finditer(text):
        if found[1]:
            said = text[max(end, text.rfind("\n", 0, found.start()) + 1) : found.start()]
            parts += [text[end : found.start()], _kept(index, said, found[1], hits)]
            end = found.end()
    return "".join([*parts, text[end:]]).strip()


def _kept(index: Index, said: str, markers: str, hits: Sequence[Hit]) -> str:
    numbers = dict.fromkeys(map(int, re.findall(r"\d+", markers)))
    good = [n for n in numbers if 0 < n <= len(hits) and _supports(index, hits[n - 1], said)]
    before = markers[: -len(markers.lstrip())] if good else ""
    after = markers[-1] if markers[-1].isspace() else ""
    return before + "".join(f"[{n}]" for n in good) + after


def _supports(index: Index, hit: Hit, said: str) -> bool:
    return index.question(said).coverage(f"{hit.chunk.heading} {hit.chunk.text}") >= _SUPPORT


def _numbered(number: int, hit: Hit) -> str:
    return f"[{number}] {hit.chunk.document.title}\n{hit.chunk.text}"


def _text(raw: bytes) -> str:
    try:
        choices = _Reply.model_validate_json(raw).choices
    except ValidationError:
        raise WriterError("the server's answer is not that of an OpenAI-compatible one") from None
    if choices and choices[0].finish_reason == "length":
        raise WriterError("the model's answer was cut: the server allows it too few tokens")
    return (choices[0].message.content or "") if choices else ""
