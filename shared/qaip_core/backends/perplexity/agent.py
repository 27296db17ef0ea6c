"""Perplexity: its agent, which searches, reads, calls functions, and answers with sources.

Vendor page: https://docs.perplexity.ai/api-reference/agent-post
What a run in the background says of itself was never seen; the vendor's page is followed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, Generic, TypeVar

from pydantic import Field

from qaip_core.backend import Endpoint, Params
from qaip_core.backends.perplexity._service import PERPLEXITY
from qaip_core.backends.perplexity.agent_events import Decoder
from qaip_core.backends.perplexity.agent_input import PARTS, encode, items, sent
from qaip_core.backends.perplexity.agent_params import PerplexityAgentParams
from qaip_core.backends.perplexity.agent_response import OPEN, decode, read, refuse
from qaip_core.citations import resolve_markers
from qaip_core.errors import InvalidParameterError, MalformedResponseError
from qaip_core.operation import Operation
from qaip_core.types import Completion, Prompt

__all__ = ["AGENT", "CANCEL", "RETRIEVE", "START", "AgentRun", "PerplexityAgentParams", "started"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class AgentRun(Generic[T]):
    """A run of the agent, as far as it has come.

    Parameters:
        id: what it is asked for by.
        status: "queued", "in_progress", "completed", "incomplete", "cancelled", or another word
            of the service's.
        answer: what it has answered; None while it is under way.
    """

    id: str
    status: str
    answer: T | None = None

    @property
    def done(self) -> bool:
        """Whether nothing more comes."""
        return self.status not in OPEN


class _Id(Params):
    """Which run is meant.

    Parameters:
        response_id: the id of an answer.
    """

    response_id: Annotated[str, Field(min_length=1)] | None = None


class _Started(PerplexityAgentParams):
    """Parameters of a run in the background.

    Parameters:
        input: the items that it is asked.
    """

    input: str | list[dict[str, Any]] | None = None


def started(
    prompt: Prompt, values: Mapping[str, Any], extra: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Return the parameters of a run in the background.

    Parameters:
        prompt: what is asked.
        values: the parameters of the run; ``stop`` has no place among them.
        extra: what goes into every body, besides.

    Raises:
        InvalidParameterError: the service would not keep it, or takes the prompt not.
    """
    if values.get("store") is False:
        raise InvalidParameterError("a run in the background is kept by the service: drop store")
    given = {k: v for k, v in values.items() if k not in ("stop", "stop_sequences")}
    given["extra_body"] = {**(extra or {}), **(given.get("extra_body") or {})}
    return {**given, "input": prompt if isinstance(prompt, str) else items(prompt)}


def _background(params: dict[str, Any]) -> dict[str, Any]:
    return {**sent(params), "background": True}


def _run(body: Any) -> AgentRun[Completion]:
    """Return a run; one that failed is an error."""
    response = read(body, {})
    run_id, status = response.get("id"), response.get("status") or ""
    if not run_id:
        raise MalformedResponseError("the body names no run", body=body)
    if status != "cancelled":
        refuse(response, body)
    return AgentRun(run_id, status, None if status in OPEN else _answer(body))


def _answer(body: Any) -> Completion:
    answer = decode(body, cancelled=True)
    cited = resolve_markers(answer.text, answer.citations)
    return replace(answer, citations=cited, last=True)


def _cancelled(body: Any) -> str:
    if not isinstance(body, dict):
        raise MalformedResponseError("the body tells of no run", body=body)
    status = body.get("status")
    return status if isinstance(status, str) else "cancelling"


AGENT = Endpoint(
    backend=PERPLEXITY,
    path="/v1/agent",
    params=PerplexityAgentParams,
    encode=encode,
    decode=decode,
    decoder=Decoder,
    kind="agent",
    cites=True,
    parts=PARTS,
    formats=frozenset({"json_schema"}),
)
START: Operation[AgentRun[Completion]] = Operation(
    backend=PERPLEXITY,
    path="/v1/agent",
    method="POST",
    params=_Started,
    required=("input",),
    encode=_background,
    decode=_run,
    is_safe=False,
)
RETRIEVE: Operation[AgentRun[Completion]] = Operation(
    backend=PERPLEXITY,
    path="/v1/agent/{response_id}",
    params=_Id,
    required=("response_id",),
    decode=_run,
)
CANCEL: Operation[str] = Operation(
    backend=PERPLEXITY,
    path="/v1/agent/{response_id}/cancel",
    method="POST",
    params=_Id,
    required=("response_id",),
    decode=_cancelled,
)
