"""The answers of chat, whole and streamed, in the shape of a profile."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from qaip_sandbox._wire import Json, event, request_id
from qaip_sandbox.answers import Generation
from qaip_sandbox.protocols._messages import prompt_tokens
from qaip_sandbox.text import pieces

from .profiles import PROFILES
from .request import Request, SearchOptions
from .switches import PerplexitySwitches

__all__ = ["Reply", "Said"]

_Place = Literal["whole", "first", "middle", "last"]

_NO_COST = {"input_tokens_cost": 0, "output_tokens_cost": 0, "total_cost": 0}
_PER_TOKEN = 1e-6
_PER_SEARCH = 0.005
_PER_REQUEST = {"low": 0.005, "medium": 0.008, "high": 0.012}


@dataclass(frozen=True, slots=True)
class Said:
    """What the model says, and where it has it from.

    `sources` are `citations`, `search_results` and what else was found; `thought` is what a
    reasoning model thinks, whether or not it shows that.
    """

    generation: Generation
    question: str
    sources: dict[str, Json]
    thought: str = ""
    shown: bool = False


class Reply:
    """One answer, written as a whole or as chunks in the shape of a profile."""

    def __init__(self, request: Request, said: Said, switches: PerplexitySwitches) -> None:
        self.said = said
        self._profile = PROFILES[switches.profile]
        self._switches = switches
        self._request = request
        self._size = (request.web_search_options or SearchOptions()).search_context_size
        self._prompt = prompt_tokens(request.turns)
        self._thought = len(pieces(said.thought))
        self._head: Json = {"id": request_id(), "model": request.model, "created": int(time.time())}

    @property
    def tokens(self) -> int:
        """The tokens that the client gets to see."""
        return len(self.said.generation.pieces)

    def whole(self) -> bytes:
        """Return the answer as one object."""
        body = self._body("chat.completion", "whole", self.tokens, "")
        return self._profile.encode(body) + self._profile.ending

    def events(self) -> Iterator[bytes]:
        """Yield the answer as the events of a stream, the last one without new text."""
        bodies = self._concise() if self._is_concise else self._full()
        yield from map(self._framed, bodies)
        if self._switches.done:
            yield b"data: [DONE]" + 2 * self._switches.newline.encode()

    @property
    def _is_concise(self) -> bool:
        return self._profile.concise and self._request.stream_mode == "concise"

    def _framed(self, body: Json) -> bytes:
        newline = self._switches.newline
        head = f"event: message{newline}" if self._switches.event_lines else ""
        return head.encode() + event(body, newline, self._profile.encode)

    def _full(self) -> Iterator[Json]:
        middle, last = self._profile.kinds
        for count, piece in enumerate(self.said.generation.pieces, 1):
            yield self._body(middle, "first" if count == 1 else "middle", count, piece)
        yield self._body(last, "last", self.tokens, "")

    def _concise(self) -> Iterator[Json]:
        results = self.said.sources.get("search_results", [])
        found = {k: v for k, v in self.said.sources.items() if k in ("search_results", "images")}
        search = {"search_results": results, "search_keywords": [self.said.question]}
        steps = [{"thought": self.said.thought, "type": "web_search", "web_search": search}]
        thinking = {"reasoning_steps": steps}
        if not self._request.disable_search:
            delta = {"delta": _turn("", **thinking)}
            message = {"message": _turn("", **thinking), "delta": _turn("")}
            yield self._bare("chat.reasoning", delta)
            yield self._bare("chat.reasoning.done", message, **found)
        for piece in self.said.generation.pieces:
            yield self._bare("chat.completion.chunk", {"delta": _turn(piece)})
        usage = {"usage": self._usage(self.tokens, final=True)}
        done = self._choice(self.tokens, "", final=True)
        yield self._bare("chat.completion.done", done, **usage, **found)

    def _bare(self, kind: str, choice: Json, **more: Json) -> Json:
        return {**self._head, "object": kind, **more, "choices": [{"index": 0, **choice}]}

    def _body(self, kind: str, place: _Place, count: int, delta: str) -> Json:
        final = place in ("whole", "last")
        return {
            **self._head,
            "usage": self._usage(count, final=final),
            **self._sources(place),
            "object": kind,
            "choices": [self._choice(count, delta, final=final)],
        }

    def _choice(self, count: int, delta: str, *, final: bool) -> Json:
        generation = self.said.generation
        parts = {
            "index": 0,
            "message": _turn("".join(generation.pieces[:count])),
            "delta": _turn(delta),
            "finish_reason": generation.finish_reason if final else None,
        }
        keys = self._profile.choice
        return {k: parts[k] for k in keys if final or self._profile.waiting or parts[k] is not None}

    def _sources(self, place: _Place) -> dict[str, Json]:
        sources, when = self.said.sources, self._switches.citations
        if (place, when) in {
            ("middle", "first"), ("last", "first"), ("first", "late"), ("middle", "late"),
        }:  # fmt: skip
            return {}
        if when == "null":
            return {**sources, "citations": None}
        return {k: v for k, v in sources.items() if k != "citations" or when != "missing"}

    def _usage(self, count: int, *, final: bool) -> Json:
        # What a model thinks without showing it counts too.
        count += 0 if self.said.shown or not self._request.reasons else self._thought
        usage: Json = {
            "prompt_tokens": self._prompt,
            "completion_tokens": count,
            "total_tokens": self._prompt + count,
        }
        if not self._profile.context_size:
            return usage
        usage["search_context_size"] = self._size
        researched = self._researched() if final and self._request.deep else {}
        usage |= {name: amount for name, (amount, _) in researched.items()}
        if self._profile.decimals is not None and (final or self._profile.zero_cost):
            costs = {f"{_COSTS[name]}_cost": cost for name, (_, cost) in researched.items()}
            usage["cost"] = self._cost(count, costs) if final else _NO_COST
        return usage

    def _researched(self) -> dict[str, tuple[int, float]]:
        """Return what deep research counts further, each with its cost."""
        read = self.said.sources.get("search_results", [])
        cited = sum(len(pieces(result.get("snippet") or "")) for result in read)
        return {
            "citation_tokens": (cited, cited * _PER_TOKEN),
            "num_search_queries": (1, _PER_SEARCH),
            "reasoning_tokens": (self._thought, self._thought * _PER_TOKEN),
        }

    def _cost(self, count: int, more: dict[str, float]) -> Json:
        costs = {
            "input_tokens_cost": self._prompt * _PER_TOKEN,
            "output_tokens_cost": count * _PER_TOKEN,
            **more,
            "request_cost": _PER_REQUEST[self._size],
        }
        rounded = {name: round(cost, self._profile.decimals) for name, cost in costs.items()}
        return {**rounded, "total_cost": round(sum(rounded.values()), self._profile.decimals)}


_COSTS = {
    "citation_tokens": "citation_tokens",
    "num_search_queries": "search_queries",
    "reasoning_tokens": "reasoning_tokens",
}


def _turn(content: str, **more: Json) -> Json:
    return {"role": "assistant", "content": content, **more}
