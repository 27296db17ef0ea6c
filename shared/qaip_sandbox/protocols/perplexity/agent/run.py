"""One run of the agent: how it ends, and the response object that tells about it."""

import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field

from qaip_sandbox._wire import Json
from qaip_sandbox.answers import Generation
from qaip_sandbox.protocols.perplexity.switches import PerplexitySwitches

from .request import Request
from .work import Work

__all__ = ["Run"]

_PER_TOKEN = 1e-6
_PER_CALL = 0.005
_FAILED = {"message": "The model gave up.", "code": "model_error", "type": "server_error"}
_ECHOED: Json = {
    "instructions": None,
    "language_preference": None,
    "max_output_tokens": None,
    "max_steps": None,
    "max_tool_calls": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "prompt_cache_key": None,
    "reasoning": None,
    "service_tier": "default",
    "temperature": 1,
    "tool_choice": "auto",
    "top_p": 1,
    "truncation": "",
}


def _new_id(prefix: str) -> str:
    return f"{prefix}_{uuid.uuid4()}"


@dataclass(slots=True)
class Run:
    """A run with its work, which is done at once; a background run hides that for `polls` polls.

    `turns` is the conversation that it answers; `created` and `completed` are Unix times, the
    latter None until somebody is told of the end.
    """

    request: Request
    turns: Sequence[Json]
    work: Work
    status: str
    polls: int = 0
    id: str = field(default_factory=lambda: _new_id("resp"))
    message_id: str = field(default_factory=lambda: _new_id("msg"))
    created: int = field(default_factory=lambda: int(time.time()))
    completed: int | None = None

    @classmethod
    def of(
        cls, request: Request, turns: Sequence[Json], work: Work, switches: PerplexitySwitches
    ) -> "Run":
        """Return the run of `work`, which ends as the switches have it."""
        ends = {"length": "incomplete", "stop": "completed"}
        status = switches.pending_call if work.calls else ends[work.answer.finish_reason]
        if switches.terminal not in ("completed", "none"):
            status = switches.terminal
        polls = switches.polls if request.background else 0
        run = cls(request, turns, work, status, polls)
        if status == "incomplete" and work.answer.finish_reason == "stop":
            half = work.answer.pieces[: len(work.answer.pieces) // 2]
            run.work = Work(work.steps, (), Generation(half, "length"), work.input_tokens)
        return run

    @property
    def live(self) -> bool:
        """Whether the run seems to go on."""
        return self.polls > 0

    def cancel(self) -> None:
        """Stop the run before its answer."""
        self.polls, self.status = 0, "cancelled"

    @property
    def items(self) -> list[Json]:
        """The items that the run leaves."""
        if self.status == "failed":
            return []
        items: list[Json] = [step.item for step in self.work.steps]
        if self.status == "cancelled":
            return items
        text = self.work.answer.text
        return [*items, *self.work.calls, *([self.message(text)] if text else [])]

    def message(self, text: str | None) -> Json:
        """Return the item of the answer, with `text`, or null in place of its content."""
        parts: Json = [{"type": "output_text", "text": text, "annotations": []}]
        return {
            "type": "message",
            "id": self.message_id,
            "role": "assistant",
            "status": "completed",
            "content": None if text is None else parts,
        }

    @property
    def said(self) -> list[Json]:
        """The conversation with what the run adds to it, without instructions."""
        turns = [turn for turn in self.turns if not turn.get("instructs")]
        calls = [
            {"role": "assistant", "content": None, "call_id": item["call_id"]}
            for item in self.work.calls
        ]
        text = self.work.answer.text
        return [*turns, *calls, *([{"role": "assistant", "content": text}] if text else [])]

    def response(self, status: str | None = None) -> Json:
        """Return the response object, as it is at the end or as it was at `status`."""
        at = status or self.status
        done = status is None
        if done and self.completed is None:
            self.completed = int(time.time())
        asked = self.request.model_dump(by_alias=True, exclude_none=True)
        echoed = {name: asked.get(name, default) for name, default in _ECHOED.items()}
        tools = [t.model_dump(mode="json", exclude_unset=True) for t in self.request.shown_tools]
        reason = {"incomplete": "max_output_tokens", "cancelled": "cancelled"}.get(at)
        return {
            **echoed,
            "background": bool(self.request.background),
            "completed_at": self.completed if done else None,
            "created_at": self.created,
            "error": _FAILED if at == "failed" else None,
            "frequency_penalty": 0,
            "id": self.id,
            "incomplete_details": {"reason": reason} if reason else None,
            "model": self.request.resolved if done else self.request.named,
            "object": "response",
            "output": self.items if done else [],
            "presence_penalty": 0,
            "previous_response_id": self.request.previous_response_id,
            "safety_identifier": None,
            "status": at,
            "store": self.request.store is not False,
            "text": {"format": {"type": "text"}},
            "tools": tools,
            "usage": self._usage() if done else None,
            "user": None,
        }

    @property
    def error(self) -> Json:
        """What a failed run says."""
        return _FAILED

    def _usage(self) -> Json:
        options = self.request.stream_options
        hidden = self.request.stream and options is not None and not options.include_usage
        if hidden or self.status in ("failed", "cancelled"):
            return None
        read, said = self.work.input_tokens, self.work.output_tokens
        names = [step.name for step in self.work.steps]
        uses = {name: names.count(name) for name in sorted(set(names))}
        called = len(names) * _PER_CALL
        calls = {"tool_calls_cost": called} if called else {}
        usage: Json = {
            "input_tokens": read,
            "input_tokens_details": {
                "cached_tokens": 0,
                "cache_read_input_tokens": 0,
                "cache_creation_input_tokens": 0,
            },
            "output_tokens": said,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": read + said,
            "cost": {
                "currency": "USD",
                "input_cost": round(read * _PER_TOKEN, 6),
                "output_cost": round(said * _PER_TOKEN, 6),
                **calls,
                "total_cost": round((read + said) * _PER_TOKEN + called, 6),
            },
        }
        if uses:
            usage["tool_calls_details"] = {
                name: {"invocation": count, "cost_usd": count * _PER_CALL}
                for name, count in uses.items()
            }
        return usage
