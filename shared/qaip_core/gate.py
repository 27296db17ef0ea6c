"""One pace for the requests of many objects: a gate that each request passes.

It holds for every class of both packages, their chains, tools, uploads and retries alike, since
it stands in the core, where a request is one, not where a call is::

    with through(gate):
        chain.batch(questions)

What counts is the context in which a request is sent, as `contextvars` has it: tasks that are
begun within the ``with`` take the gate along, and so do the threads that LangChain, LangGraph,
LlamaIndex and `asyncio.to_thread` use. Not covered:

- threads that are started without a copy of the context (`threading.Thread`, a bare
  `ThreadPoolExecutor`, `loop.run_in_executor`), and other processes: they set it themselves;
- streams that are read outside of the ``with``, wherever they were asked for;
- the notice that ends a run whose reader has left: it must not wait.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol

__all__ = ["GATE", "Gate", "through"]


class Gate(Protocol):
    """Is asked before every request, and told of the head of every response.

    Several threads and event loops may ask one gate at once. Its waits count against no timeout.
    What it raises reaches the caller as it is, and nothing is repeated after it.
    """

    def admit(self, service: str) -> None:
        """Return when a request may go out; it goes at once.

        Not every request is heard of: one may fail without a response. A token is asked for
        once the request that it is for has been admitted, and is then admitted itself.

        Parameters:
            service: whom it goes to, as ``error.service`` names it: "qaip", "fireworks",
                "pais", "perplexity", "dify"; "openid" for the tokens of `OpenIDToken`.
        """
        ...

    async def aadmit(self, service: str) -> None:
        """Do what `admit` does, without blocking; cancelled with the call that waits."""
        ...

    def heard(self, service: str, status: int, retry_after: float | None) -> None:
        """Take note of the head of a response, a success or not; called in async code, too.

        Parameters:
            service: who answers.
            status: the HTTP status.
            retry_after: seconds that the response asks to wait, any length; None if it does not.
        """
        ...


GATE: ContextVar[Gate | None] = ContextVar("GATE", default=None)
"""The gate of this context."""


@contextmanager
def through(gate: Gate | None) -> Iterator[None]:
    """Send the requests of all that is called within it through a gate, sync and async ones.

    The innermost one holds.

    Parameters:
        gate: the gate; None for none.
    """
    token = GATE.set(gate)
    try:
        yield
    finally:
        GATE.reset(token)
