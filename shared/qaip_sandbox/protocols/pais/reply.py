"""The answers of PAIS, whole and streamed, in the words of an engine."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from qaip_sandbox._wire import Json, event, interleave
from qaip_sandbox.answers import Generation

from .engines import Engine
from .switches import PAISSwitches

__all__ = ["Choice", "Reply"]


@dataclass(frozen=True, slots=True)
class Choice:
    """One text, and the stop word that ended it, if one did."""

    generation: Generation
    stopped_by: str | None = None


class Reply:
    """One answer.

    `asked` says that the request wants the usage of a stream; `more` are keys that an agent adds.
    """

    def __init__(
        self,
        engine: Engine,
        switches: PAISSwitches,
        choices: Sequence[Choice],
        *,
        chat: bool,
        model: str,
        prompt: int,
        asked: bool = False,
        more: Mapping[str, Json] | None = None,
    ) -> None:
        self._engine = engine
        self._switches = switches
        self._choices = choices
        self._chat = chat
        self._form = engine.chat if chat else engine.text
        self._model = model
        self._prompt = prompt
        self._asked = asked
        self._more = more or {}
        self._id = self._form.id()
        self._created = int(time.time())
        self._own = engine.newline if switches.framing == "own" else "\r\n"

    def whole(self) -> bytes:
        """Return the answer as one object."""
        choices = [self._whole(index, choice) for index, choice in enumerate(self._choices)]
        kind = "chat.completion" if self._chat else "text_completion"
        return self._engine.write(
            self._envelope(self._form.whole, choices, kind, {**self._counted(), **self._more})
        )

    def events(self) -> Iterator[bytes]:
        """Yield the answer as the events of a stream."""
        frames = self._frames()
        ending = self._switches.ending
        if ending == "interrupted":
            frames = frames[: len(frames) // 2]
        elif ending == "done":
            frames = []
        yield from frames
        yield b"data: [DONE]" + 2 * self._own.encode()

    def _frames(self) -> list[bytes]:
        columns = (self._column(index, choice) for index, choice in enumerate(self._choices))
        chunks = interleave(columns)
        if self._counts:
            counted = self._only(self._form.counting)
            chunks.append(self._chunk([], counted))
        return [event(chunk, self._own, self._engine.write_chunk) for chunk in chunks]

    @property
    def _counts(self) -> bool:
        wanted = {"asked": self._asked, "always": True, "never": False}[self._switches.usage]
        return bool(self._form.counting) and wanted

    def _column(self, index: int, choice: Choice) -> Iterator[Json]:
        generation = choice.generation
        number = index + self._switches.first_index
        if self._chat and self._form.opening is not None:
            yield self._chunk([self._part(number, self._form.opening)])
        parts = list(generation.pieces) or ([] if self._engine.apart else [""])
        last = len(parts) - 1
        for place, text in enumerate(parts):
            final = place == last and not self._engine.apart
            said = self._part(number, self._said(text), choice if final else None)
            yield self._chunk([said], self._cited(place, last))
        if choice.stopped_by and self._form.stopping:
            stopping = self._only(self._form.stopping, choice)
            yield self._chunk([self._part(number, self._said(""))], stopping)
        if self._engine.apart:
            closing = "" if self._counts else self._form.closing
            said = self._part(number, {} if self._chat else self._said(""), choice)
            yield self._chunk([said], self._only(closing, choice))

    def _cited(self, place: int, last: int) -> Mapping[str, Json]:
        wanted = {"last": place == last, "first": place == 0, "every": True}
        return self._more if wanted[self._switches.citations] else {}

    def _said(self, text: str) -> Json:
        return {"content": text} if self._chat else {"text": text}

    def _part(self, index: int, said: Json, ended: Choice | None = None) -> Json:
        ends = ended is not None and self._switches.ending != "unfinished"
        values = {
            **({"delta": said} if self._chat else said),
            "index": index,
            "logprobs": None,
            "finish_reason": ended.generation.finish_reason if ended and ends else None,
            "stop_reason": ended.stopped_by if ended and ends else None,
        }
        return _ordered(self._form.part, values)

    def _whole(self, index: int, choice: Choice) -> Json:
        text = choice.generation.text
        message = _ordered(self._engine.message, {"role": "assistant", "content": text})
        values = {
            "text": text,
            "message": message,
            "index": index,
            "logprobs": None,
            "finish_reason": choice.generation.finish_reason,
            "stop_reason": choice.stopped_by,
        }
        return _ordered(self._form.choice, values)

    def _chunk(self, choices: list[Json], more: Mapping[str, Json] | None = None) -> Json:
        kind = self._switches.chunk_object if self._chat else "text_completion"
        none: Json = {"usage": None} if self._engine.null_usage else {}
        return self._envelope(self._form.chunk, choices, kind, {**none, **(more or {})})

    def _envelope(
        self, keys: str, choices: list[Json], kind: str, more: Mapping[str, Json]
    ) -> Json:
        values: dict[str, Json] = {
            "id": self._id,
            "object": kind,
            "created": self._created,
            "model": self._model,
            "choices": choices,
            "system_fingerprint": "sandbox",
            **more,
        }
        for name, gone in (
            ("id", self._switches.without_id),
            ("created", self._switches.without_created),
        ):
            if gone:
                del values[name]
        return _ordered(keys, values)

    @property
    def tokens(self) -> int:
        """The tokens of all texts."""
        return _tokens(self._choices)

    def _only(self, keys: str, choice: Choice | None = None) -> Mapping[str, Json]:
        kept = _ordered(keys, self._counted(choice))
        if self._switches.usage == "never":
            kept.pop("usage", None)
        return kept

    def _counted(self, choice: Choice | None = None) -> dict[str, Json]:
        """Return the usage, of `choice` alone where the engine counts only one."""
        one = [choice] if choice else self._choices[:1]
        tokens = _tokens(one if self._engine.counts_one else self._choices)
        usage = {
            "prompt_tokens": self._prompt,
            "completion_tokens": tokens,
            "total_tokens": self._prompt + tokens,
            "prompt_tokens_details": {"cached_tokens": 0},
        }
        timings = {
            "cache_n": 0,
            **_timed("prompt", self._prompt),
            **_timed("predicted", tokens),
        }
        return {"usage": _ordered(self._engine.usage, usage), "timings": timings}


def _tokens(choices: Sequence[Choice]) -> int:
    return sum(len(choice.generation.pieces) for choice in choices)


def _timed(name: str, tokens: int) -> Json:
    return {
        f"{name}_n": tokens,
        f"{name}_ms": float(tokens),
        f"{name}_per_token_ms": 1.0,
        f"{name}_per_second": 1000.0,
    }


def _ordered(keys: str, values: Mapping[str, Json]) -> dict[str, Json]:
    return {key: values[key] for key in keys.split() if key in values}
