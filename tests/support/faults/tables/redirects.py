"""Where a service may try to send a request on to: nowhere is it followed."""

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

from qaip_core.errors import BadRequestError
from support.fault_server import Reply
from support.faults.matrix import Row, raised

__all__ = ["HIDDEN", "REDIRECTS", "STATUSES", "with_status"]

STATUSES = (301, 302, 303, 307, 308)
HIDDEN = "hunter2-of-the-target"

# What it leads to, the Location header, and how much of that the error shows. `here` is the
# service, `other` another port of the host, `named` the same port by another name of the host.
_TARGETS: Sequence[tuple[str, str, str]] = [
    ("another path", f"{{here}}/moved?t={HIDDEN}", "{here}/moved"),
    ("another port", f"{{other}}/v1?t={HIDDEN}", "{other}/v1"),
    ("another host", f"{{named}}/v1#t={HIDDEN}", "{named}/v1"),
    ("a relative place", f"/moved?t={HIDDEN}", "/moved"),
    ("a place without its scheme", f"//{{place}}/v1?t={HIDDEN}", "//{place}/v1"),
    ("a URL with user info", f"http://me:{HIDDEN}@{{place}}/v1", "{place}/v1"),
    ("a file", "file:///etc/hostname", "file:///etc/hostname"),
    ("garbage", "ht!tp:// [", "ht!tp:// ["),
]


def _redirect(what: str, location: str, shown: str) -> Row:
    reply = Reply(status=307, headers={"location": location}, framing="length")
    return Row(f"a redirect to {what}", lambda _s: reply, raised(BadRequestError, shown))


def with_status(row: Row, status: int) -> Row:
    """The same redirect by another status."""
    return Row(
        f"{row.name} ({status})",
        lambda s: replace(cast("Reply", row.replies(s)), status=status),
        row.expected,
    )


REDIRECTS: Sequence[Row] = [_redirect(*target) for target in _TARGETS]
