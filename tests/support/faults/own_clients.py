"""Asking through a client that the user made."""

import asyncio
from collections.abc import Mapping
from types import ModuleType
from typing import Any

import httpx

from support.faults.subjects import Outcome, Subject

__all__ = ["ask_through"]


def ask_through(
    subject: Subject,
    url: str,
    options: Mapping[str, Any],
    *,
    library: ModuleType = httpx,
    **fields: Any,
) -> Outcome:
    """Ask once; the client is closed by the one who made it.

    options: what the client is made with, besides being blind to the environment.
    library: httpx, or one that looks like it.
    """
    options = {"trust_env": False, "verify": False, **options}
    if not subject.is_async:
        with library.Client(**options) as http:
            return subject.ask(url, http_client=http, **fields)

    async def ask() -> Outcome:
        async with library.AsyncClient(**options) as http:
            return await subject.aask(url, http_async_client=http, **fields)

    return asyncio.run(ask())
