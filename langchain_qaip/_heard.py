"""`Heard`: what the models and retrievers of a chain say that its result no longer holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.documents import Document
from langchain_core.messages import AIMessage
from langchain_core.outputs import Generation, LLMResult

from langchain_qaip._cited import cited
from qaip_core.bulk.money import money
from qaip_core.bulk.plain import unplaced
from qaip_core.rendering.numbering import named_by_place

__all__ = ["Heard"]


class Heard(BaseCallbackHandler):
    """Hears one run of a chain.

    It keeps what comes, and reads it when it is asked: the run is not to wait for it.
    """

    run_inline = True  # else each event would need a thread

    def __init__(self) -> None:
        self._calls: list[_Call] = []
        self._answers: list[_Call] = []  # without those that only a retriever has seen
        self._searches: set[UUID] = set()
        self._found: Sequence[Document] | None = None

    @property
    def ignore_chain(self) -> bool:
        """Whether steps of chains are of no interest: there are many."""
        return True

    def on_chat_model_start(self, *args: Any, **kwargs: Any) -> None:
        """Ignore it; the base would write the messages as text, for `on_llm_start`."""

    def on_retriever_start(self, *args: Any, run_id: UUID, **kwargs: Any) -> None:  # noqa: ARG002 -- LangChain's
        """Note who searches."""
        self._searches.add(run_id)

    def on_retriever_end(self, documents: Sequence[Document], **kwargs: Any) -> None:  # noqa: ARG002 -- LangChain's
        """Keep what was found."""
        self._found = documents

    def on_llm_end(
        self,
        response: LLMResult,
        *,
        parent_run_id: UUID | None = None,
        **kwargs: Any,  # noqa: ARG002 -- LangChain's
    ) -> None:
        """Keep what was answered."""
        if response.generations and response.generations[0]:
            call = _Call(response.generations[0][0], response.llm_output or {})
            self._calls.append(call)
            if parent_run_id not in self._searches:
                self._answers.append(call)

    @property
    def searched(self) -> bool:
        """Whether a retriever has found something, or nothing."""
        return self._found is not None

    @property
    def usage(self) -> dict[str, int] | None:
        """The token counts of all calls together; None where nobody counts."""
        total: dict[str, int] = {}
        counted = [call.usage for call in self._calls]
        for usage in filter(None, counted):
            for name, count in usage.items():
                total[name] = total.get(name, 0) + count
        return total or None

    @property
    def cost(self) -> float | None:
        """What all calls cost together; None where nobody says."""
        costs = [cost for call in self._calls if (cost := call.cost) is not None]
        return sum(costs) if costs else None

    def fact(self, *names: str) -> str | None:
        """Return what the last call says of itself that says it.

        Parameters:
            names: what services call it.
        """
        for call in reversed(self._answers):
            for name in names:
                if isinstance(said := call.facts.get(name), str):
                    return said
        return None

    def citations(self, text: str, *, is_data: bool) -> Sequence[Mapping[str, Any]]:
        """Return the sources of the last answer that cites, else what was found last.

        Parameters:
            text: the result of the chain.
            is_data: whether it is JSON, where ``[1]`` is no marker.
        """
        for call in reversed(self._answers):
            said, citations = call.said
            if citations:
                return citations if said == text else unplaced(citations)
        found = cited(list(self._found or ())).citations
        return found if is_data else named_by_place(text, found)


class _Call:
    """One answer of a model.

    Parameters:
        generation: the answer; the first one, where several were asked for.
        output: what the model says of all its answers.
    """

    def __init__(self, generation: Generation, output: Mapping[str, Any]) -> None:
        message = getattr(generation, "message", None)
        self._message = message if isinstance(message, AIMessage) else None
        self._text = generation.text
        info = generation.generation_info or {}
        about = self._message.response_metadata if self._message else {}
        self.facts = {**output, **info, **about}

    @property
    def _counts(self) -> Mapping[str, Any]:
        counts = self._message.usage_metadata if self._message else None
        return dict(counts or {})

    @property
    def _is_cached(self) -> bool:
        """Whether LangChain's cache gave the answer: it writes so, over what was paid once."""
        return self._counts.get("total_cost") == 0

    @property
    def usage(self) -> dict[str, int] | None:
        own = self._counts
        counts = own if "input_tokens" in own else self.facts.get("token_usage") or {}
        details = own.get("input_token_details") or {}, own.get("output_token_details") or {}
        known = {
            "input_tokens": counts.get("input_tokens", counts.get("prompt_tokens")),
            "output_tokens": counts.get("output_tokens", counts.get("completion_tokens")),
            "total_tokens": counts.get("total_tokens"),
            "cached_tokens": details[0].get("cache_read"),
            "reasoning_tokens": details[1].get("reasoning"),
        }
        found = {name: count for name, count in known.items() if isinstance(count, int)}
        return dict.fromkeys(found, 0) if self._is_cached else found

    @property
    def cost(self) -> float | None:
        cost = money(self.facts)
        return 0.0 if cost and self._is_cached else cost

    @property
    def said(self) -> tuple[str, Sequence[Mapping[str, Any]]]:
        """The text and its sources."""
        if self._message:
            answer = cited(self._message)
            return answer.text, answer.citations
        return self._text, self.facts.get("citations") or ()
