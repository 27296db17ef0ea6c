"""Workflow apps: a search of the documents and what is said from them, as four nodes in a row.

No server's bytes were recorded: what is sent here is what the vendor's page on workflow apps says.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from starlette.responses import Response

from qaip_sandbox._wire import Json, Stream
from qaip_sandbox.protocols._answering import noted, sought
from qaip_sandbox.protocols._tasks import task_of_text
from qaip_sandbox.service import Call

from .apps import stop, whole
from .bodies import fields_of, json_body, user_of
from .events import Answered
from .failures import failure_of
from .files import check_files
from .forms import filled, question_of, variables
from .kinds import WORKFLOW, check_kind
from .knowledge import cited
from .past import Past
from .refusals import headers
from .runs import APP, Run, Runs
from .scripts import TEXT, script_of
from .sending import held, stream
from .switches import DifySwitches

__all__ = ["run_workflow", "stop_workflow"]

_WRITER = "1721365917469"
_NODES = (
    ("1721365917466", "start", "Start"),
    ("1721365917467", "knowledge-retrieval", "Knowledge Retrieval"),
    (_WRITER, "llm", "LLM"),
    ("1721365917470", "end", "End"),
)
_TOO_LONG = "Workflow execution failed: Max execution time reached."


async def run_workflow(call: Call) -> Response:
    """Run the app on the values of a form."""
    switches = call.switched(DifySwitches)
    body = json_body(call)
    user = user_of(switches, body)
    check_kind(switches, WORKFLOW)
    fields = fields_of(switches, body, WORKFLOW.arguments, WORKFLOW.model)
    streaming = fields["response_mode"] == "streaming"
    with call.remembered(Runs).begin(switches, user) as run:
        check_files(switches, fields["files"], call.remembered(Past))
        form = variables(switches, chat=False)
        inputs = filled(switches, form, fields["inputs"] or {}, chat=True)
        worked = await _worked(call, run, inputs, question_of(form, inputs))
        if not streaming:
            return await whole(call, worked)
        frames = await held(stream(worked, call.pace, call.record))
        return Stream(frames, headers=headers(switches))


async def stop_workflow(call: Call) -> Response:
    """Stop a run."""
    return stop(call, WORKFLOW)


async def _worked(call: Call, run: Run, inputs: dict[str, Json], question: str) -> "_Worked":
    switches = call.switched(DifySwitches)
    task = task_of_text(question)
    answer = await sought(call, task)
    script = script_of(switches, task.spoken(answer))
    noted(call, task, answer, script.text)
    call.record.unfinished = failure_of(switches) is not None
    return _Worked(
        switches=switches,
        run=run,
        mode=WORKFLOW.mode,
        conversation="",
        question=question,
        script=script,
        resources=cited(switches, answer.hits),
        inputs=inputs,
    )


@dataclass(slots=True)
class _Worked(Answered):
    """What one run of a workflow gives out; `inputs` are the values of its form."""

    inputs: dict[str, Json] = field(default_factory=dict[str, Json])

    def whole(self, *, cut: bool) -> Json:
        """Return the run as one object; one that is `cut` took too long."""
        body: Json = {
            "workflow_run_id": self.id,
            "task_id": self.run.id,
            "data": self._outcome("failed" if cut else None),
        }
        return [body] if self.switches.whole == "list" else body

    def halted(self) -> bytes:
        """Return the end of a run that was stopped or took too long."""
        return self._frame(self._finished("stopped" if self.run.halted else "failed"))

    def _events(self) -> Iterator[Json]:
        started: Json = {"workflow_id": APP, "inputs": self.inputs, "created_at": self.created}
        yield self._happened("workflow_started", {"id": self.id, **started})
        if self.switches.unknown_event:
            yield self._happened("weather", {"forecast": "sunny"})
        for place, (node, _, _) in enumerate(_NODES, 1):
            yield self._node("node_started", place, {})
            if node == _WRITER:
                yield from self._said()
                if failure := failure_of(self.switches):
                    self.over = True
                    error: Json = {"status": "failed", "error": failure.message, "outputs": None}
                    yield self._node("node_finished", place, error)
                    yield self._finished()
                    return
            ended: Json = {"status": "succeeded", "error": None, "outputs": self._made(place)}
            yield self._node("node_finished", place, ended | {"elapsed_time": self._seconds})
        self.over = True
        yield self._finished()

    def _said(self) -> Iterator[Json]:
        for name, text in self.script.steps:
            self.made += 1
            if name == TEXT and text:
                piece: Json = {"text": text, "from_variable_selector": [_WRITER, "text"]}
                yield self._happened("text_chunk", piece)

    def _made(self, place: int) -> Json:
        found = {"result": self.resources}
        text = {"text": self.script.text}
        outputs: list[Json] = [self.inputs, found, text, self._outputs]
        return outputs[place - 1]

    @property
    def _outputs(self) -> Json:
        names = dict.fromkeys(str(found["document_name"]) for found in self.resources)
        return {"text": self.script.text, "sources": list(names)}

    @property
    def _seconds(self) -> float:
        return time.monotonic() - self.run.started

    def _finished(self, status: str | None = None) -> Json:
        return self._happened("workflow_finished", self._outcome(status))

    def _outcome(self, status: str | None) -> Json:
        failure = failure_of(self.switches)
        ended = status or ("failed" if failure else "succeeded")
        reason = failure.message if failure and not status else _TOO_LONG
        return {
            "id": self.id,
            "workflow_id": APP,
            "status": ended,
            "outputs": self._outputs if ended == "succeeded" else {},
            "error": reason if ended == "failed" else None,
            "elapsed_time": self._seconds,
            "total_tokens": self.script.completion or 0,
            "total_steps": len(_NODES),
            "created_at": self.created,
            "finished_at": int(time.time()),
        }

    def _node(self, name: str, place: int, more: Json) -> Json:
        id_, kind, title = _NODES[place - 1]
        before = _NODES[place - 2][0] if place > 1 else None
        data: Json = {
            "id": f"{self.id}-{place}",
            "node_id": id_,
            "node_type": kind,
            "title": title,
            "index": place,
            "predecessor_node_id": before,
            "inputs": None if place == 1 else {},
            "created_at": self.created,
        }
        return self._happened(name, data | more)

    def _happened(self, name: str, data: Json) -> Json:
        return {
            "event": name,
            "workflow_run_id": self.id,
            "task_id": self.run.id,
            "data": data,
        }
