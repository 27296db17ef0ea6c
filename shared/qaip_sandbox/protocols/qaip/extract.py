"""Extraction: values out of the documents, in the shape of a schema."""

import time
from collections.abc import Iterator

from starlette.responses import Response

from qaip_sandbox._wire import Json, request_id
from qaip_sandbox.answers import Answer
from qaip_sandbox.protocols._answering import noted
from qaip_sandbox.protocols._tasks import Task, as_json
from qaip_sandbox.quoting import unmarked
from qaip_sandbox.schemas import Impossible
from qaip_sandbox.service import Call

from .errors import refused
from .request import Extraction, parse

__all__ = ["extract"]

_WORDS = ("title", "description")


async def extract(call: Call) -> Response:
    """Answer with an object of the schema, whose values come from the documents."""
    request = parse(Extraction, call)
    question = " ".join(filter(None, [request.prompt, *_words(request.schema_)]))
    end = request.offset + request.limit
    hits = call.library.index.search(question, end, request.allow)[request.offset :]
    chosen = {hit.chunk.id for hit in hits}
    found = call.library.answer(question, lambda chunk: chunk.id in chosen, request.limit)
    text = found.bare() if found.quotes else "\n".join(unmarked(hit.chunk.text) for hit in hits)
    try:
        # As a prompt, the passages are where numbers and names are looked for as well.
        result = as_json(request.schema_, text or question, "")
    except Impossible as error:
        raise refused(call, 400, f"schema: {error}") from None
    noted(call, Task(question), Answer(found.quotes, found.hits), result)
    await call.pace.wait(1)
    body = b'{"created":%d,"result":%s}' % (int(time.time()), result.encode())
    return Response(body, 200, {"X-Request-ID": request_id()}, "application/json")


def _words(schema: Json) -> Iterator[str]:
    """Yield what a schema says about its values: names, titles and descriptions."""
    if isinstance(schema, list):
        for item in schema:
            yield from _words(item)
    elif isinstance(schema, dict):
        yield from (schema[key] for key in _WORDS if isinstance(schema.get(key), str))
        properties = schema.get("properties")
        if isinstance(properties, dict):
            yield from (name.replace("_", " ") for name in properties)
        for key, value in schema.items():
            if key not in ("enum", "const", "default", "examples"):
                yield from _words(
                    list(value.values())
                    if key == "properties" and isinstance(value, dict)
                    else value
                )
