"""Recordings, played to a way of asking, and what is then to be seen."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from support.faults.subjects import Outcome, Subject
from support.recordings import Reading, Recording, without_thinking
from support.replay import Played

__all__ = ["NOWHERE", "Scene", "Stage", "can_meet", "play"]

NOWHERE = "http://127.0.0.1:9"


def can_meet(subject: Subject, recording: Recording) -> bool:
    """A refusal comes to whoever asks; an answer in the form in which it was asked for.

    LangChain refuses streams of several answers: they cannot be one message.
    """
    backend = recording.endpoint.backend.name
    operation = recording.endpoint.path.removeprefix("/").removesuffix("/completions") or "chat"
    if (subject.service, subject.operation) != (backend, operation):
        return False
    if recording.status != 200:
        return True
    if "n" in recording.values and subject.layer == "langchain" and subject.streams:
        return False
    return subject.wants_stream if recording.stream else not subject.streams


# What is to be seen


def _shown(recording: Recording, subject: Subject, reading: Reading, text: str) -> str:
    """What stands before the user's eyes.

    Streams of LangChain and LlamaIndex cannot take back a text that they have shown: the first
    says in a field what stands in its place, the second shows that too.
    """
    if (
        reading.error is not None
        and recording.endpoint.thinks
        and "<think>".startswith(text.strip())
    ):
        text = ""  # this may become reasoning, and is held back
    if not subject.streams or subject.layer == "core" or not reading.taken_back:
        return text
    if subject.layer == "langchain":
        text = text.removeprefix(reading.replacement)
    return reading.taken_back + text


def _check(outcome: Outcome, recording: Recording, subject: Subject, reading: Reading) -> None:
    """Compare what a caller saw with the plain reading."""
    _, text = without_thinking(reading.text) if recording.endpoint.thinks else ("", reading.text)
    if reading.error is not None:
        assert outcome.kind is not None, repr(outcome.error)
        assert issubclass(outcome.kind, reading.error), repr(outcome.error)
        assert outcome.partial == text
    else:
        assert outcome.error is None, repr(outcome.error)
        _check_facts(outcome, subject, reading)
    if outcome.shown is None or (reading.error is not None and not subject.streams):
        return  # a way of asking that shows no text, or no text before all of it has come
    if len(recording.reading.texts) == 1 or (reading.error is None and subject.layer != "core"):
        assert outcome.text == _shown(recording, subject, reading, text)


def _check_facts(outcome: Outcome, subject: Subject, reading: Reading) -> None:
    if outcome.sources is not None or subject.tells_facts:
        assert (outcome.sources or 0) == len(reading.sources)
    if subject.tells_facts:
        assert outcome.finish == reading.end
        assert outcome.tokens == (reading.usage["total_tokens"] if reading.usage else None)


# How it is played


@dataclass(frozen=True)
class Scene:
    """One way of playing a recording, and what is to be read in it."""

    recording: Recording
    name: str
    played: Played
    reading: Reading


Stage = Callable[[Played], Any]


def play(
    subject: Subject, scenes: Sequence[Scene], stage: Stage, url: str = NOWHERE, **fields: Any
) -> None:
    """Ask one object for each scene in turn, and check each.

    stage: takes what is to be played next.
    """
    if scenes[0].recording.status == 200:
        fields |= scenes[0].recording.values

    def asked() -> list[Outcome]:
        with subject.make(url, **fields) as made:
            return [stage(scene.played) or subject.ask_of(made) for scene in scenes]

    async def awaited() -> list[Outcome]:
        async with subject.make(url, **fields) as made:
            return [stage(scene.played) or await subject.aask_of(made) for scene in scenes]

    outcomes = asyncio.run(awaited()) if subject.is_async else asked()
    for scene, outcome in zip(scenes, outcomes, strict=True):
        try:
            _check(outcome, scene.recording, subject, scene.reading)
        except AssertionError as error:
            error.add_note(f"{scene.recording.name}: {scene.name}")
            raise
