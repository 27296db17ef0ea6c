"""Perplexity's chat completions, as served until their retirement in September 2026."""

from datetime import UTC, datetime
from http import HTTPStatus
from typing import Literal

from starlette.responses import Response

from qaip_sandbox._wire import Stream, compact, event, json_response, request_id
from qaip_sandbox.answers import Answer, generate
from qaip_sandbox.protocols._answering import noted, sought
from qaip_sandbox.protocols._tasks import Task, as_json, task_of
from qaip_sandbox.schemas import Impossible
from qaip_sandbox.service import Call, Route, Service, bearer
from qaip_sandbox.switches import Switches

from .reply import Reply
from .request import Request, allowed, error, parse, refuse

__all__ = ["PERPLEXITY", "PerplexitySwitches"]


class PerplexitySwitches(Switches):
    """How Perplexity behaves.

    Args:
        profile: The shape of its answers: that of June 2026, "seed" for that of 2024, or
            "retired" for the refusal that valid keys get since September 2026.
    """

    profile: Literal["2026-06", "seed", "retired"] = "2026-06"


_RETIRED = (
    "Sonar is now the Agent API. Use /v1/responses instead of /v1/sonar. Migrate here: "
    "https://docs.perplexity.ai/docs/agent-api/migrate-from-sonar/overview"
)


async def _chat(call: Call) -> Response:
    profile = call.switched(PerplexitySwitches).profile
    if profile == "retired":
        return error(403, _RETIRED, "chat_completions_not_available")
    request = parse(call)
    task = task_of([message.model_dump() for message in request.messages])
    answer = await sought(call, task, allowed(request))
    text = noted(call, task, answer, _text(request, task, answer))
    reply = Reply(request, answer, generate(text, (), request.max_tokens), profile)
    headers = {"x-request-id": request_id()}
    if not request.stream:
        await call.pace.wait(len(reply.generation.pieces))
        return json_response(reply.whole(), headers=headers, encode=reply.encode)
    return Stream(call.pace.walk(reply.events(), _ping()), headers=headers)


def _text(request: Request, task: Task, answer: Answer) -> str:
    schema = request.schema_of_answer
    if schema is None:
        return task.spoken(answer)
    try:
        return as_json(schema, task.question, answer.bare())
    except Impossible as fault:
        place = "At body -> response_format -> json_schema -> schema"
        raise refuse(compact([f"{place}: {fault}"]).decode()) from None


def _authorize(call: Call, key_name: str) -> Response | None:
    if bearer(call.headers) == call.key(key_name):
        return None
    message = "Invalid API key provided. Ensure your API key is correct and active."
    return error(401, message, "invalid_api_key")


_KINDS = {429: "request_rate_limit_exceeded", 500: "internal_error", 502: "bad_gateway"}


def _failed(status: int, _: Switches, message: str | None) -> Response:
    return error(status, message or HTTPStatus(status).phrase, _KINDS.get(status, "not_found"))


def _error_event(_: Switches, message: str | None) -> bytes:
    words = message or "The answer has failed."
    return event({"error": {"message": words, "type": "internal_error", "code": 500}}, "\r\n")


def _ping(_: Switches | None = None) -> bytes:
    return f": ping - {datetime.now(UTC)}\r\n\r\n".encode()


PERPLEXITY = Service(
    name="perplexity",
    base_path="/perplexity",
    base_url_name="PERPLEXITY_BASE_URL",
    keys={"PERPLEXITY_API_KEY": "pplx-sandbox-key"},
    routes=tuple(
        Route("POST", path, _chat, "PERPLEXITY_API_KEY")
        for path in ("/chat/completions", "/v1/chat/completions", "/v1/sonar")
    ),
    authorize=_authorize,
    failed=_failed,
    error_event=_error_event,
    ping=_ping,
    switches=PerplexitySwitches,
)
