"""Defects that are planted in our classes, and the facts that tell of them."""

import asyncio
import threading
import time
from contextlib import contextmanager, suppress
from types import SimpleNamespace
from typing import Any, NamedTuple

from llama_index.core.base.response.schema import StreamingResponse
from llama_index.core.llms import ChatMessage, ChatResponse

from llama_index_qaip import (
    CitationRetriever,
    CitedQueryEngine,
    Fireworks,
    FireworksEmbedding,
    FireworksRerank,
    Perplexity,
    PerplexitySearchRetriever,
)
from llama_index_qaip._answers import ChatShape
from llama_index_qaip.testing import Contract
from qaip_core.structured import objects_in

from .test_conformance import (
    Ours,
    TestFireworks,
    TestFireworksEmbedding,
    TestFireworksRerank,
    TestPerplexity,
    TestPerplexityQueryEngine,
    TestPerplexityRetriever,
    TestPerplexitySearchRetriever,
)

__all__ = ["DEFECTS", "Defect", "planted"]

_PREDICT = "structured_predict"


class Defect(NamedTuple):
    """What is planted, and how the fact is called that tells of it."""

    kind: type[Any]
    fact: str
    how: tuple[Any, ...] = ()

    def __str__(self) -> str:
        return f"{self.kind.__name__}-{self.fact.removeprefix('test_')}"


class Chatty(Perplexity):
    """Answers with metadata in the message."""

    def chat(self, messages: Any, **kwargs: Any) -> ChatResponse:
        answer = super().chat(messages, **kwargs)
        answer.message.additional_kwargs = {"citations": []}
        return answer


class Deaf(Perplexity):
    """Says that a stream was complete, whatever happened to it."""

    def stream_chat(self, messages: Any, **kwargs: Any) -> Any:
        with suppress(Exception):
            yield from super().stream_chat(messages, **kwargs)


class Hasty(Perplexity):
    """Asks before it is read."""

    def stream_chat(self, messages: Any, **kwargs: Any) -> Any:
        return iter(list(super().stream_chat(messages, **kwargs)))


class Same(Perplexity):
    """Gives one object again and again."""

    def stream_chat(self, messages: Any, **kwargs: Any) -> Any:
        first = None
        for response in super().stream_chat(messages, **kwargs):
            first = first or response
            first.message, first.delta = response.message, response.delta
            yield first


class Blocking(Perplexity):
    """Waits in the loop."""

    async def achat(self, messages: Any, **kwargs: Any) -> Any:
        return self.chat(messages, **kwargs)


class Stubborn(Perplexity):
    """Asks late, in a thread that nobody can cancel."""

    async def achat(self, messages: Any, **kwargs: Any) -> Any:
        def late() -> None:
            time.sleep(0.1)
            with suppress(Exception):  # the service drops it in the end
                self.chat(messages, **kwargs)

        threading.Thread(target=late, daemon=True).start()
        await asyncio.Event().wait()


class Open(Perplexity):
    """Shows its key."""

    def __repr__(self) -> str:
        return f"Open({self.api_key.get_secret_value()})"  # type: ignore[union-attr]


class Doubled(Perplexity):
    """Asks by another of its public methods."""

    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Any:
        super().complete(prompt, formatted, **kwargs)
        return super().complete(prompt, formatted, **kwargs)


class Forgetful(Perplexity):
    """Takes parameters, and does not send them."""

    def chat(self, messages: Any, **kwargs: Any) -> ChatResponse:
        return Perplexity.chat(self.model_copy(update={"temperature": None}), messages)


class Meddling(Perplexity):
    """Writes into the caller's list."""

    def chat(self, messages: Any, **kwargs: Any) -> ChatResponse:
        messages.insert(0, ChatMessage("Be brief.", role="system"))
        return super().chat(messages, **kwargs)


class Levelling(Perplexity):
    """Says all in the user's name."""

    def chat(self, messages: Any, **kwargs: Any) -> ChatResponse:
        return super().chat([ChatMessage(m.content) for m in messages], **kwargs)


class Splitting(Perplexity):
    """Loses what Python takes for the ends of lines."""

    def stream_chat(self, messages: Any, **kwargs: Any) -> Any:
        for response in super().stream_chat(messages, **kwargs):
            said = "".join((response.message.content or "").splitlines())
            yield response.model_copy(update={"message": ChatMessage(said, role="assistant")})


HELD: list[Any] = []


class Holding(Perplexity):
    """Keeps its streams."""

    def stream_chat(self, messages: Any, **kwargs: Any) -> Any:
        HELD.append(super().stream_chat(messages, **kwargs))
        return (response for response in HELD[-1])


class _Uncounted(ChatShape):
    def whole(self, *args: Any) -> ChatResponse:
        answer = super().whole(*args)
        answer.raw = {}
        answer.additional_kwargs.clear()
        return answer


class Countless(Perplexity):
    """Loses the token counts."""

    @property
    def _chat(self) -> ChatShape:
        return _Uncounted(citation_blocks=True)


class Toolless(Fireworks):
    """Offers no tools."""

    def _prepare_chat_with_tools(self, tools: Any, *args: Any, **kwargs: Any) -> Any:
        return super()._prepare_chat_with_tools([], *args, **kwargs)


class Lax(Fireworks):
    """Does not say that a tool is required."""

    def _prepare_chat_with_tools(self, tools: Any, *args: Any, **kwargs: Any) -> Any:
        kwargs.pop("tool_required", None)
        return super()._prepare_chat_with_tools(tools, *args, **kwargs)


class Backward(Fireworks):
    """Gives tool calls in another order."""

    def chat(self, messages: Any, **kwargs: Any) -> ChatResponse:
        answer = super().chat(messages, **kwargs)
        answer.message.blocks.reverse()
        return answer


class Guessing(Fireworks):
    """Calls a tool without arguments where they were cut."""

    def get_tool_calls_from_response(self, response: Any, *args: Any, **kwargs: Any) -> Any:
        with suppress(ValueError):
            return super().get_tool_calls_from_response(response, *args, **kwargs)
        return []


class Loose(Perplexity):
    """Takes the first object that fits, wherever it stands; tells nobody."""

    def structured_predict(self, output_cls: Any, prompt: Any, *_: Any, **args: Any) -> Any:
        said = self.chat(prompt.format_messages(**args)).message.content or ""
        for start in (at for at, sign in enumerate(said) if sign == "{"):
            for found in objects_in(said[start:]):
                if isinstance(found, dict):
                    return output_cls.model_validate(found)
        raise ValueError(said)


class Trusting(Perplexity):
    """Takes a streamed object for complete, and keeps its streams."""

    def stream_structured_predict(self, *args: Any, **kwargs: Any) -> Any:
        HELD.append(super().stream_structured_predict(*args, **kwargs))
        with suppress(ValueError):
            yield from (known for known in HELD[-1])


class Scoring(CitationRetriever):
    """Invents scores."""

    def _retrieve(self, query_bundle: Any) -> Any:
        found = super()._retrieve(query_bundle)
        for node in found:
            node.score = 1.0
        return found


class Shuffled(CitationRetriever):
    """Gives nodes in another order, with ids by chance."""

    def _retrieve(self, query_bundle: Any) -> Any:
        found = super()._retrieve(query_bundle)[::-1]
        for node in found:
            node.node.id_ = f"{id(node)}-{time.monotonic_ns()}"
        return found


class Hiding(CitationRetriever):
    """Finds nothing where the service failed."""

    def _retrieve(self, query_bundle: Any) -> Any:
        with suppress(Exception):
            return super()._retrieve(query_bundle)
        return []


class Waiting(CitationRetriever):
    """Waits in the loop."""

    async def _aretrieve(self, query_bundle: Any) -> Any:
        return self._retrieve(query_bundle)


class Keyed(PerplexitySearchRetriever):
    """Shows its key."""

    def __repr__(self) -> str:
        return f"Keyed({self.api_key.get_secret_value()})"  # type: ignore[union-attr]


class Giving(PerplexitySearchRetriever):
    """Finds what it found before, once more."""

    def _retrieve(self, query_bundle: Any) -> Any:
        return [*super()._retrieve(query_bundle), *super()._retrieve(query_bundle)]


class Unordered(FireworksEmbedding):
    """Gives vectors as they come."""

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return super()._get_text_embeddings(texts)[::-1]


class Occupied(FireworksEmbedding):
    """Waits in the loop."""

    async def _aget_text_embedding(self, text: str) -> list[float]:
        return self._get_text_embedding(text)


class Overwriting(FireworksRerank):
    """Writes scores into the nodes that it is given."""

    def _postprocess_nodes(self, nodes: Any, query_bundle: Any = None) -> Any:
        ranked = super()._postprocess_nodes(nodes, query_bundle)
        for node in nodes:
            node.score = 1.0
        return ranked


class Unheard(FireworksRerank):
    """Tells nobody."""

    @contextmanager
    def _told(self, query: str, nodes: Any) -> Any:
        yield []


class Mute(CitedQueryEngine):
    """Tells handlers that a query ended, and not how."""

    @contextmanager
    def _told(self, query: Any) -> Any:
        with super()._told(query) as event:
            yield SimpleNamespace(on_end=lambda payload: event.on_end())


class Plain(CitedQueryEngine):
    """Streams by LlamaIndex's own class, with metadata that are empty at first."""

    def _query(self, query_bundle: Any) -> Any:
        response = super()._query(query_bundle)
        late: dict[str, Any] = {}

        def tokens() -> Any:
            yield from response.response_gen
            late.update(response.metadata)

        return StreamingResponse(tokens(), response.source_nodes, late)


class Sticky(CitedQueryEngine):
    """Keeps its streams, and says that they were complete."""

    def _query(self, query_bundle: Any) -> Any:
        response = super()._query(query_bundle)
        HELD.append(response.response_gen)

        def tokens() -> Any:
            with suppress(Exception):
                yield from (token for token in HELD[-1])

        return StreamingResponse(tokens(), response.source_nodes, response.metadata)


class Stale(CitedQueryEngine):
    """Keeps the prompt that it had."""

    def _update_prompts(self, prompts: Any) -> None:
        """Take no note."""


class Sourceless(CitedQueryEngine):
    """Gives no sources."""

    def _query(self, query_bundle: Any) -> Any:
        response = super()._query(query_bundle)
        response.source_nodes = []
        return response


DEFECTS = [
    Defect(Chatty, "test_a_message_keeps_its_additional_kwargs_empty", ("chat",)),
    Defect(Chatty, "test_an_answer_adds_nothing_but_its_text_to_the_next_prompt", ("chat",)),
    Defect(Deaf, "test_every_failure_raises", ("stream_chat", "cut")),
    Defect(Deaf, "test_a_stream_that_is_cut_raises_with_what_had_come", ("stream_chat",)),
    Defect(Deaf, "test_an_error_in_a_stream_raises_with_what_had_come", ("stream_chat",)),
    Defect(Hasty, "test_a_stream_is_requested_when_it_is_read", ("stream_chat",)),
    Defect(Same, "test_each_response_is_an_object_of_its_own", ("stream_chat",)),
    Defect(Blocking, "test_an_async_call_does_not_block_the_loop", ("achat",)),
    Defect(Stubborn, "test_cancelling_a_call_frees_its_connection", ("achat",)),
    Defect(Holding, "test_leaving_a_stream_frees_its_connection", ("break", "stream_chat")),
    Defect(Open, "test_the_key_is_in_no_form_of_the_object", ("repr",)),
    Defect(Doubled, "test_a_call_has_one_start_and_one_end_event", ("complete",)),
    Defect(Doubled, "test_a_rate_limiter_is_asked_once", ("complete",)),
    Defect(Doubled, "test_an_answer_is_its_text", ("complete",)),
    Defect(Forgetful, "test_a_parameter_of_the_object_is_sent", ("chat",)),
    Defect(Forgetful, "test_a_parameter_of_a_call_overrules_the_object_s", ("chat",)),
    Defect(Meddling, "test_messages_are_left_as_they_were", ("chat",)),
    Defect(Levelling, "test_each_turn_keeps_its_role", ("chat",)),
    Defect(Levelling, "test_a_history_may_hold_tool_calls_and_results", ("chat",)),
    Defect(Splitting, "test_text_survives", ("stream_chat", "line separators inside")),
    Defect(Countless, "test_tokens_are_counted_as_the_service_counts_them", ("chat",)),
    Defect(Toolless, "test_tools_are_offered_and_their_calls_selected", ("chat_with_tools",)),
    Defect(Lax, "test_a_required_tool_is_asked_for_as_such"),
    Defect(Backward, "test_tool_calls_are_blocks_in_their_order", ("chat",)),
    Defect(Guessing, "test_cut_arguments_are_never_taken_for_a_call", ("chat",)),
    Defect(Guessing, "test_an_answer_without_tool_calls_says_so"),
    Defect(Loose, "test_an_object_inside_a_broken_one_is_not_taken_for_it", (_PREDICT,)),
    Defect(Loose, "test_the_prediction_has_its_events", (_PREDICT,)),
    Defect(Loose, "test_the_schema_is_sent_as_such", (_PREDICT,)),
    Defect(Trusting, "test_a_streamed_object_that_is_invalid_raises", (f"stream_{_PREDICT}",)),
    Defect(
        Trusting,
        "test_leaving_a_streamed_object_frees_its_connection",
        (f"stream_{_PREDICT}", "break"),
    ),
    Defect(Scoring, "test_no_score_is_invented", ("",)),
    Defect(Shuffled, "test_each_source_is_a_node_in_the_service_s_order", ("",)),
    Defect(Shuffled, "test_ids_are_unique_and_stay_the_same", ("",)),
    Defect(Hiding, "test_a_failure_raises", ("", "cut")),
    Defect(Waiting, "test_retrieving_async_does_not_block_the_loop"),
    Defect(Keyed, "test_the_key_is_in_no_form_of_it"),
    Defect(Giving, "test_fusion_takes_it_beside_others", ("",)),
    Defect(Unordered, "test_texts_go_in_batches_and_keep_their_order", ("",)),
    Defect(Occupied, "test_embedding_async_does_not_block_the_loop"),
    Defect(Overwriting, "test_the_nodes_that_were_given_stay_as_they_were", ("",)),
    Defect(Unheard, "test_a_ranking_has_one_start_and_one_end_event", ("",)),
    Defect(Mute, "test_a_query_has_one_start_and_one_end_event", ("", False)),
    Defect(Plain, "test_metadata_of_a_stream_survive_a_router", ("",)),
    Defect(Plain, "test_an_answer_that_was_read_is_there_whole", ("",)),
    Defect(Plain, "test_an_answer_that_broke_is_never_whole", ("", "cut")),
    Defect(Sticky, "test_leaving_a_streamed_answer_frees_its_connection", ("break",)),
    Defect(Sticky, "test_a_failure_raises", ("", True, "cut")),
    Defect(Stale, "test_a_prompt_that_is_changed_is_used", ("",)),
    Defect(Sourceless, "test_an_answer_has_its_text_and_sources", ("",)),
]
_CONTRACTS: list[tuple[type[Any], type[Contract]]] = [
    (Fireworks, TestFireworks),
    (Perplexity, TestPerplexity),
    (CitationRetriever, TestPerplexityRetriever),
    (CitedQueryEngine, TestPerplexityQueryEngine),
    (PerplexitySearchRetriever, TestPerplexitySearchRetriever),
    (FireworksEmbedding, TestFireworksEmbedding),
    (FireworksRerank, TestFireworksRerank),
]


def planted(kind: type[Any]) -> Any:
    """Return the contract of what has a defect."""
    (contract,) = (contract for base, contract in _CONTRACTS if issubclass(kind, base))

    def make(self: Ours, url: str, **fields: Any) -> Any:
        own = {"streaming": fields.pop("streaming")} if "streaming" in fields else {}
        return kind(self.keep(Ours.make(self, url, **fields)), **own)

    of_an_llm = issubclass(kind, (CitationRetriever, CitedQueryEngine))
    return type("Planted", (contract,), {"make": make} if of_an_llm else {"kind": kind})()
