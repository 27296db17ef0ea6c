"""What a response may not exceed, and what is still taken."""

from collections.abc import Sequence

from qaip_core.errors import ServerError, ServiceConnectionError
from support.fault_server import Reply
from support.faults.matrix import Row, raised, whole

__all__ = ["HEADS", "MANY"]

HEADS: Sequence[Row] = [
    Row(
        "a header of 200 KB",
        lambda s: Reply(headers={"x-long": "a" * 200_000}),
        raised(ServiceConnectionError, "too long"),
    ),
    Row(
        "3,000 headers",
        lambda s: Reply(headers=[(f"x-{n}", "a" * 100) for n in range(3000)]),
        raised(ServiceConnectionError, "too long"),
    ),
    Row(
        "a status line without an end",
        lambda s: Reply(raw=b"HTTP/1.1 200 " + b"a" * 200_000),
        raised(ServiceConnectionError, "too long"),
    ),
    Row(
        "an error body that is long",
        lambda s: Reply(status=500, body=[b"b" * 30_000] * 4),
        raised(ServerError, "HTTP 500: bbb"),
    ),
]

MANY: Sequence[Row] = [
    Row(
        "300 headers",
        lambda s: s.stream(*s.said("tea"), headers=[(f"x-{n}", "a" * 100) for n in range(300)]),
        whole("tea"),
    )
]
