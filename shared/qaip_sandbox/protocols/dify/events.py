"""The answer of a run as JSON: one object, or the events of a stream."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from qaip_sandbox._wire import Json, event, request_id
from qaip_sandbox.text import pieces

from .failures import error_body, failure_of
from .profiles import profile_of
from .runs import Run
from .scripts import REPLACE, Script
from .switches import DifySwitches
from .usage import Spent, metadata_of

__all__ = ["Answered"]

_PICTURE = "https://sandbox.invalid/files/picture.png"
_SPEECH = "//uQxAAAAAAAAAAAAAAAAAAAAAAA"  # base64, as the service sends its audio


@dataclass(slots=True)
class Answered:
    """What one run answers.

    `conversation` is "" for a completion app, and `mode` the kind of the app. `made` counts the
    steps that are ready to be streamed, `sent` those that were; `over` says that none is left.
    """

    switches: DifySwitches
    run: Run
    mode: str
    conversation: str
    question: str
    script: Script
    resources: list[Json]
    id: str = field(default_factory=request_id)
    created: int = field(default_factory=lambda: int(time.time()))
    made: int = 0
    sent: int = 0
    over: bool = False

    def whole(self, *, cut: bool) -> Json:
        """Return the answer as one object; one that is `cut` has no text and cost nothing."""
        script = self.script
        whole = {
            "event": "message",
            "task_id": self.run.id,
            "id": self.id,
            "message_id": self.id,
            **self._where(),
            "mode": self.mode,
            "answer": "" if cut else script.text,
            "metadata": self._metadata(script.completion, streamed=False, cut=cut),
            "created_at": self.created,
        }
        return [whole] if self.switches.whole == "list" else whole

    def frames(self) -> Iterator[bytes]:
        """Yield the events of a stream that nobody stops, as they are sent."""
        batch: list[bytes] = []
        for body in self._events():
            batch.append(self._frame(body))
            if len(batch) == self.switches.batch:
                yield b"".join(batch)
                batch, self.sent = [], self.made
        if batch:
            yield b"".join(batch)

    def halted(self) -> bytes:
        """Return the end of a stream that was stopped or took too long."""
        return self._frame(self._end(self.sent, cut=True))

    def _frame(self, body: Json) -> bytes:
        ending = "\r\n" if self.switches.crlf else "\n"
        return event(body, ending, profile_of(self.switches).encode)

    def _events(self) -> Iterator[Json]:
        if self.switches.unknown_event:
            yield self._head("weather") | {"forecast": "sunny"}
        if self.switches.file:
            yield self._head("message_file") | {
                "id": self.id, "type": "image", "belongs_to": "assistant", "url": _PICTURE,
            }  # fmt: skip
        for name, text in self.script.steps:
            self.made += 1
            yield self._piece(name, text)
        self.over = True
        failure = failure_of(self.switches)
        if failure:
            head = self._head("error")
            del head["task_id"]
            yield head | error_body(self.switches, failure)
            return
        speech = [self._audio("tts_message", _SPEECH), self._audio("tts_message_end", "")]
        yield from speech if self.switches.tts == "before" else []
        yield self._end(self.script.completion, cut=False)
        yield from speech if self.switches.tts == "after" else []

    def _piece(self, name: str, text: str) -> Json:
        if name == REPLACE:
            reason = {} if profile_of(self.switches).bare else {"reason": ""}
            return self._head(REPLACE) | {"answer": text} | reason
        head = self._head(self._label()) | {"id": self.id, "answer": text}
        if self.mode == "agent-chat":
            return head
        return head | {"from_variable_selector": profile_of(self.switches).nothing}

    def _label(self) -> str:
        if self.mode == "agent-chat":
            return "agent_message"
        labels = self.switches.file and profile_of(self.switches).labels_files
        return "message_file" if labels else self.switches.text_event

    def _end(self, completion: int | None, *, cut: bool) -> Json:
        return self._head("message_end") | {
            "id": self.id,
            "metadata": self._metadata(completion, streamed=True, cut=cut),
            "files": [self._picture()] if self.switches.file else profile_of(self.switches).nothing,
        }

    def _audio(self, name: str, audio: str) -> Json:
        return self._head(name) | {"audio": audio}

    def _head(self, name: str) -> dict[str, Json]:
        return {
            "event": name,
            **self._where(),
            "message_id": self.id,
            "created_at": self.created,
            "task_id": self.run.id,
        }

    def _where(self) -> dict[str, Json]:
        return {"conversation_id": self.conversation} if self.conversation else {}

    def _metadata(self, completion: int | None, *, streamed: bool, cut: bool) -> Json:
        seconds = time.monotonic() - self.run.started
        counts = (len(pieces(self.question)), completion or 0)
        zeroes = profile_of(self.switches).zeroes or not streamed
        if not self.script.modelled or ((cut or completion is None) and zeroes):
            counts = (0, 0)
        spent = Spent(*counts, seconds, priced=self.script.modelled)
        return metadata_of(self.switches, self.resources, spent, streamed=streamed)

    def _picture(self) -> Json:
        return {
            "related_id": self.id,
            "type": "image",
            "filename": "picture.png",
            "extension": ".png",
            "mime_type": "image/png",
            "size": 68,
            "transfer_method": "tool_file",
            "url": _PICTURE,
            "upload_file_id": None,
            "remote_url": None,
        }
