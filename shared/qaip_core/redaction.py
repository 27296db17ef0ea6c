"""What must not be seen: keys that a service echoes, headers of one session, parts of URLs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from os.path import commonprefix
from typing import Any

__all__ = ["HiddenHeaders", "bare_proxy", "bare_url", "causes", "redacted", "shown_headers"]

LEAST = 8
"""Shorter ones are no real keys, and stand in ordinary words."""

_SECRET_HEADERS = frozenset(
    ("authorization", "cookie", "proxy-authorization", "set-cookie", "set-cookie2", "x-api-key")
)


class HiddenHeaders(dict[str, str]):
    """Headers whose values, which may be secret, are in no repr."""

    def __repr__(self) -> str:
        return repr(dict.fromkeys(self, "**********"))


def shown_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers of a response without cookies, credentials, and a location's query."""
    shown = {k: v for k, v in headers.items() if k.lower() not in _SECRET_HEADERS}
    return {k: bare_url(v) if k.lower() == "location" else v for k, v in shown.items()}


def bare_url(url: str) -> str:
    """Return a URL without what may be secret in it: user info, query, fragment."""
    place = re.split("[?#]", url, maxsplit=1)[0]
    return re.sub(r"^([^/]*//)?[^/]*@", r"\1", place)


def bare_proxy(url: str) -> str:
    """Return a proxy's URL without its login, which people write as it comes: with "/" or "#"."""
    scheme, mark, rest = url.rpartition("://")
    return bare_url(f"{scheme}{mark}{rest.rpartition('@')[2]}")


def redacted(value: Any, secret: str) -> Any:
    """Return a value without a secret, also inside of mappings and lists.

    Parameters:
        value: a JSON value; of other types it is returned as it is.
        secret: what is replaced, also where it is cut short: messages are excerpts. Below
            eight letters it is left.
    """
    if len(secret) < LEAST:
        return value
    if isinstance(value, str):
        return _cut_out(value, secret)
    if isinstance(value, Mapping):
        return {redacted(k, secret): redacted(v, secret) for k, v in value.items()}
    return [redacted(v, secret) for v in value] if isinstance(value, list) else value


def _cut_out(text: str, secret: str) -> str:
    known = max(LEAST, len(secret) // 2)
    first, *others = text.split(secret[:known])
    rest = secret[known:]
    shown = (other[len(commonprefix((other, rest))) :] for other in others)  # noqa: RUF071 -- letters
    return "[key]".join([first, *shown])


def causes(error: BaseException) -> Iterator[BaseException]:
    """Yield all that an error came of."""
    known = {id(error)}
    waiting = [error.__cause__, error.__context__]
    while waiting:
        cause = waiting.pop()
        if cause is not None and id(cause) not in known:
            known.add(id(cause))
            waiting += cause.__cause__, cause.__context__
            if isinstance(cause, BaseExceptionGroup):  # a host has several addresses
                waiting += cause.exceptions
            yield cause
