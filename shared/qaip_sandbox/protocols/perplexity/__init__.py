"""Perplexity's chat completions, as served until their retirement in September 2026."""

from datetime import UTC, datetime

from starlette.responses import Response

from qaip_sandbox._wire import Stream, compact, json_response, request_id
from qaip_sandbox.answers import Answer, generate
from qaip_sandbox.protocols._tasks import Task, as_json, task_of
from qaip_sandbox.schemas import Impossible
from qaip_sandbox.service import Call, Route, Service, bearer

from .reply import Reply
from .request import Request, allowed, error, parse, refuse

__all__ = ["PERPLEXITY"]

_RETIRED = (
    "Sonar is now the Agent API. Use /v1/responses instead of /v1/sonar. Migrate here: "
    "https://docs.perplexity.ai/docs/agent-api/migrate-from-sonar/overview"
)


async def _chat(call: Call) -> Response:
    profile = call.options.perplexity_profile
    if profile == "retired":
        return error(403, _RETIRED, "chat_completions_not_available")
    request = parse(call)
    task = task_of([message.model_dump() for message in request.messages])
    answer = task.answer(call.library, allowed(request))
    text = _text(request, task, answer)
    reply = Reply(request, answer, generate(text, (), request.max_tokens), profile)
    headers = {"x-request-id": request_id()}
    if not request.stream:
        return json_response(reply.whole(), headers=headers, encode=reply.encode)
    ping = f": ping - {datetime.now(UTC)}\r\n\r\n".encode()
    return Stream(call.pace.walk(reply.events(), ping), headers=headers)


def _text(request: Request, task: Task, answer: Answer) -> str:
    schema = request.schema_of_answer
    if schema is None:
        return task.spoken(answer)
    try:
        return as_json(schema, task.question, answer.bare())
    except Impossible as fault:
        place = "At body -> response_format -> json_schema -> schema"
        raise refuse(compact([f"{place}: {fault}"]).decode()) from None


def _unauthorized(_: str | None) -> Response:
    message = "Invalid API key provided. Ensure your API key is correct and active."
    return error(401, message, "invalid_api_key")


def _failed(status: int) -> Response:
    return error(status, {405: "Method Not Allowed"}.get(status, "Not Found"), "not_found")


PERPLEXITY = Service(
    name="perplexity",
    base_path="/perplexity",
    base_url_name="PERPLEXITY_BASE_URL",
    keys={"PERPLEXITY_API_KEY": "pplx-sandbox-key"},
    routes=tuple(
        Route("POST", path, _chat, "PERPLEXITY_API_KEY")
        for path in ("/chat/completions", "/v1/chat/completions", "/v1/sonar")
    ),
    key_of=bearer,
    unauthorized=_unauthorized,
    failed=_failed,
)
