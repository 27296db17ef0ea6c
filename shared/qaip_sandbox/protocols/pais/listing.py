"""Lists of PAIS, a page at a time, and the times in them."""

from collections.abc import Sequence
from datetime import UTC, datetime

from starlette.responses import Response

from qaip_sandbox._wire import Json, json_response, request_id
from qaip_sandbox.service import Call

from .errors import refused
from .request import query

__all__ = ["page", "said", "when"]


def said(value: Json) -> Response:
    """Answer with a JSON value."""
    return json_response(value, headers={"X-Request-ID": request_id()})


def when(seconds: int) -> str:
    """Return Unix seconds in ISO 8601."""
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def page(call: Call, items: Sequence[Json]) -> Response:
    """Answer with the part of a list that the query of the call asks for."""
    wanted = query(call)
    found = [item for item in items if wanted.name in ("", item.get("name"))]
    total = len(found)
    if wanted.order == "desc":
        found.reverse()
    if wanted.after:
        found = found[_place(call, found, wanted.after) + 1 :]
    if wanted.before:
        found = found[: _place(call, found, wanted.before)]
    rest = found[wanted.offset :]
    shown = rest[: wanted.limit]
    number = {"num_objects": total} if wanted.set_num_objects else {}
    ends = {"first_id": shown[0]["id"], "last_id": shown[-1]["id"]} if shown else {}
    more = len(rest) > len(shown)
    return said({"object": "list", "has_more": more, **number, "data": shown, **ends})


def _place(call: Call, items: Sequence[Json], wanted: str) -> int:
    for place, item in enumerate(items):
        if item["id"] == wanted:
            return place
    raise refused(call, 400, "Invalid pagination ID.")
