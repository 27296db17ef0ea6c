"""The calls that are answered, whole or streamed, and the call that stops one."""

import asyncio
import time
from dataclasses import dataclass

from starlette.responses import Response

from qaip_sandbox._wire import Json, Stream, request_id, spaced
from qaip_sandbox.answers import Answer
from qaip_sandbox.protocols._answering import noted, sought
from qaip_sandbox.protocols._tasks import task_of_text
from qaip_sandbox.service import Call

from .bodies import fields_of, json_body, user_of
from .events import Answered
from .failures import failure_of, refuse_early
from .files import check_files
from .forms import filled, question_of, variables
from .kinds import CHAT, COMPLETION, App, check_kind
from .knowledge import cited
from .past import Conversation, Message, Past
from .profiles import profile_of
from .refusals import headers, invalid, mark_of_the_edge, not_found, told
from .runs import Run, Runs
from .scripts import script_of
from .sending import cut_short, held, stream
from .switches import DifySwitches

__all__ = ["chat", "complete", "stop", "stop_chat", "stop_completion", "whole"]


async def complete(call: Call) -> Response:
    """Answer the inputs of a form."""
    return await _answered(call, COMPLETION)


async def chat(call: Call) -> Response:
    """Answer a query, within a conversation."""
    return await _answered(call, CHAT)


async def stop_completion(call: Call) -> Response:
    """Stop a run of a completion app."""
    return stop(call, COMPLETION)


async def stop_chat(call: Call) -> Response:
    """Stop a run of a chat app."""
    return stop(call, CHAT)


def stop(call: Call, app: App) -> Response:
    """Stop a run of an app of this kind."""
    switches = call.switched(DifySwitches)
    user = user_of(switches, json_body(call))
    check_kind(switches, app)
    call.remembered(Runs).stop(call.parameters["task_id"], user)
    return told(switches, {"result": "success"})


async def _answered(call: Call, app: App) -> Response:
    """Check a call in the service's order, and answer it."""
    switches = call.switched(DifySwitches)
    body = json_body(call)
    user = user_of(switches, body)
    check_kind(switches, app)
    fields = fields_of(switches, body, app.arguments, app.model)
    streaming = fields["response_mode"] == "streaming"
    if switches.app == "agent-chat" and not streaming:
        raise invalid(switches, "Agent Chat App does not support blocking mode")
    with call.remembered(Runs).begin(switches, user) as run:
        asked = _asked(call, app, run, fields, streaming=streaming)
        answered = await _said(call, app, run, asked)
        if not streaming:
            return await whole(call, answered)
        frames = await held(stream(answered, call.pace, call.record))
        return Stream(frames, headers=headers(switches))


@dataclass(frozen=True, slots=True)
class _Asked:
    """A call that may be answered: its question, its inputs, and where it belongs."""

    question: str
    inputs: dict[str, Json]
    conversation: str


def _asked(call: Call, app: App, run: Run, fields: dict[str, Json], *, streaming: bool) -> _Asked:
    switches = call.switched(DifySwitches)
    if not isinstance(fields["query"], str):
        raise invalid(switches, "query must be a string")
    query = fields["query"].replace("\0", "")
    chat = app is CHAT
    known = _known(call, run.user, fields) if chat else None
    check_files(switches, fields["files"], call.remembered(Past))
    form = variables(switches, chat=chat)
    inputs = filled(switches, form, fields["inputs"] or {}, chat=chat)
    refuse_early(switches, streaming=streaming)
    if chat:
        conversation = known or _begun(call, run.user, fields, inputs)
        return _Asked(query, inputs, conversation.id)
    return _Asked(" ".join(filter(None, (question_of(form, inputs), query))), inputs, "")


async def _said(call: Call, app: App, run: Run, asked: _Asked) -> Answered:
    switches = call.switched(DifySwitches)
    task = task_of_text(asked.question)
    answer = await sought(call, task)
    script = script_of(switches, task.spoken(answer))
    if not script.modelled:
        answer = Answer((), ())
    answered = Answered(
        switches=switches,
        run=run,
        mode=app.mode if switches.app == "any" else switches.app,
        conversation=asked.conversation,
        question=asked.question,
        script=script,
        resources=cited(switches, answer.hits),
    )
    noted(call, task, answer, script.text)
    call.record.unfinished = failure_of(switches) is not None
    call.remembered(Past).messages[answered.id] = Message(
        id=answered.id,
        user=run.user,
        conversation=asked.conversation,
        inputs=asked.inputs,
        query=asked.question,
        answer=script.text,
        created=answered.created,
        resources=answered.resources,
    )
    return answered


async def whole(call: Call, answered: Answered) -> Response:
    """Wait for a blocking answer, as long as the app, and Dify Cloud's proxy, let it run."""
    switches, proxied = answered.switches, profile_of(answered.switches).proxied
    limits = [switches.max_execution, switches.cut_after if proxied else None]
    seconds = min((limit for limit in limits if limit is not None), default=None)
    cut = False
    try:
        async with asyncio.timeout(seconds):
            await call.pace.wait(len(answered.script.steps))
    except TimeoutError:
        cut = True
    answered.run.ended = True
    if cut:
        cut_short(call.record, "")
    if cut and seconds != switches.max_execution:
        return mark_of_the_edge(524)
    body = b"" if switches.whole == "empty" else spaced(answered.whole(cut=cut))
    media_type = profile_of(switches).media_type
    return Response(body, 200, headers(switches) | {"Content-Type": media_type})


def _known(call: Call, user: str, fields: dict[str, Json]) -> Conversation | None:
    wanted = fields["conversation_id"]
    if not wanted:
        return None
    past = call.remembered(Past)
    found = past.conversations.get(wanted)
    if found is None or found.user != user:
        raise not_found(call, call.switched(DifySwitches), "Conversation Not Exists.")
    past.renew(found)
    return found


def _begun(call: Call, user: str, fields: dict[str, Json], inputs: dict[str, Json]) -> Conversation:
    named = fields["auto_generate_name"] and fields["query"][:40]
    created = int(time.time())
    name = named or "New conversation"
    conversation = Conversation(request_id(), user, name, inputs, created, created)
    call.remembered(Past).conversations[conversation.id] = conversation
    return conversation
