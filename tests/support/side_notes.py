"""Places that accompany an answer, with values that no service documents: what is then known.

A value that can be read in one way only is read. Any other is left out, and its path is noted.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from support.right_bodies import Json

__all__ = ["NAN", "ROWS", "Row"]

NAN, INF = float("nan"), float("inf")
HUGE = 10**30
AGENTS = ("pais agent", "pais agent text")
TEXTS = ("fireworks text", "pais text")
CHATS = ("fireworks chat", "pais chat", "pais agent", "perplexity")
COMPLETIONS = (*CHATS, *TEXTS, "pais agent text")
DIFYS = ("dify", "dify chat")


@dataclass(frozen=True)
class Row:
    """One place of a right answer with another value, and what is then known.

    found: facts as `known` names them; ``malformed`` is absent unless it is said here.
    whole, streamed: whether the place is one of whole or streamed answers.
    """

    services: Sequence[str]
    path: str
    value: Any
    found: Json = field(default_factory=dict)
    whole: bool = True
    streamed: bool = True

    def __str__(self) -> str:
        return f"{self.services[0]}: {self.path}={str(self.value)[:40]}"


def left_out(path: str, **found: Any) -> Json:
    return {"malformed": [path], **found}


HEADS = [
    Row(COMPLETIONS, "id", 7, {"id": "7"}),
    Row(COMPLETIONS, "id", 7.5, {"id": "7.5"}),
    Row(COMPLETIONS, "id", {"$oid": "7"}, left_out("id", id=None)),
    Row(COMPLETIONS, "id", [], left_out("id", id=None)),
    Row(COMPLETIONS, "id", value=True, found=left_out("id", id=None)),
    Row(COMPLETIONS, "id", NAN, left_out("id", id=None)),
    Row(COMPLETIONS, "id", None, {"id": None}),
    Row(COMPLETIONS, "model", 7, {"model": "7"}),
    Row(COMPLETIONS, "model", ["m"], left_out("model", model=None)),
    Row(COMPLETIONS, "created", "1760000000", {"created": 1760000000}),
    Row(COMPLETIONS, "created", 1760000000.7, {"created": 1760000000}),
    Row(COMPLETIONS, "created", HUGE, {"created": HUGE}),
    Row(COMPLETIONS, "created", NAN, left_out("created", created=None)),
    Row(COMPLETIONS, "created", -INF, left_out("created", created=None)),
    Row(COMPLETIONS, "created", "today", left_out("created", created=None)),
    Row(COMPLETIONS, "created", "1_000", left_out("created", created=None)),
    Row(COMPLETIONS, "created", value=True, found=left_out("created", created=None)),
    Row(COMPLETIONS, "created", {}, left_out("created", created=None)),
    Row(COMPLETIONS, "object", {"any": 1}),
    Row(COMPLETIONS, "system_fingerprint", 7, {"system_fingerprint": "7"}),
    Row(COMPLETIONS, "system_fingerprint", {}, left_out("system_fingerprint")),
    Row(COMPLETIONS, "service_tier", [7], left_out("service_tier")),
    Row(COMPLETIONS, "choices.0.index", "0"),
    Row(COMPLETIONS, "choices.0.index", 6.0),
    Row(COMPLETIONS, "choices.0.index", None),
    Row(COMPLETIONS, "choices.0.index", "first", left_out("choices.0.index")),
    Row(COMPLETIONS, "choices.0.index", {}, left_out("choices.0.index")),
    Row(COMPLETIONS, "choices.0.logprobs", 7, left_out("choices.0.logprobs", logprobs=None)),
    Row(
        COMPLETIONS,
        "choices.0.logprobs",
        {"tokens": ["a"], "token_logprobs": [-INF]},
        {"logprobs": {"tokens": ["a"], "token_logprobs": [None]}},
        streamed=False,
    ),
    Row(CHATS, "choices.0.SAID.role", 7),
    Row(
        CHATS,
        "choices.0.SAID.reasoning_content",
        [{"type": "text", "text": "So."}],
        {"reasoning": "So."},
        streamed=False,
    ),
    Row(
        CHATS,
        "choices.0.message.reasoning_content",
        {"summary": []},
        left_out("choices.0.message.reasoning_content", reasoning=""),
        streamed=False,
    ),
    Row(
        CHATS,
        "choices.0.delta.reasoning_content",
        {"summary": []},
        left_out("choices.0.delta.reasoning_content", reasoning=""),
        whole=False,
    ),
    Row(["fireworks chat"], "perf_metrics", "fast", left_out("perf_metrics")),
    Row(["fireworks chat"], "perf_metrics", {"a": INF}, {"perf_metrics": {"a": None}}),
    Row(["fireworks chat"], "raw_output", [7], left_out("raw_output")),
]

COUNTED = [
    Row(COMPLETIONS, "usage", 7, left_out("usage", usage=None)),
    Row(COMPLETIONS, "usage", "8 tokens", left_out("usage", usage=None)),
    Row(COMPLETIONS, "usage", [5, 3], left_out("usage", usage=None)),
    Row(COMPLETIONS, "usage", value=True, found=left_out("usage", usage=None)),
    Row(COMPLETIONS, "usage", {}, {"usage": None}),
    Row(COMPLETIONS, "usage", {"queries": 2}, {"usage": None, "queries": 2}),
    Row(COMPLETIONS, "usage.prompt_tokens", "12", {"usage": (12, 3)}),
    Row(COMPLETIONS, "usage.prompt_tokens", 12.0, {"usage": (12, 3)}),
    Row(COMPLETIONS, "usage.prompt_tokens", HUGE, {"usage": (HUGE, 3)}),
    Row(COMPLETIONS, "usage.prompt_tokens", 0, {"usage": (0, 3)}),
    *(
        Row(
            COMPLETIONS, "usage.prompt_tokens", value, left_out("usage.prompt_tokens", usage=(0, 3))
        )
        for value in (12.5, -12, "-12", "a dozen", "", True, NAN, INF, "1e999", {}, [12])
    ),
    Row(COMPLETIONS, "usage.total_tokens", None, {"total": 8}),
    Row(COMPLETIONS, "usage.total_tokens", "all", left_out("usage.total_tokens", total=8)),
    Row(COMPLETIONS, "usage.reasoning_tokens", [], left_out("usage.reasoning_tokens", reasoned=1)),
    Row(
        COMPLETIONS,
        "usage.prompt_tokens_details",
        7,
        left_out("usage.prompt_tokens_details", cached=None),
    ),
    Row(COMPLETIONS, "usage.prompt_tokens_details.cached_tokens", "4", {"cached": 4}),
    Row(
        COMPLETIONS,
        "usage.prompt_tokens_details.cached_tokens",
        -4,
        left_out("usage.prompt_tokens_details.cached_tokens", cached=None),
    ),
    Row(
        COMPLETIONS,
        "usage.num_search_queries",
        value=True,
        found={"counts": {}, "num_search_queries": True},
    ),
    Row(COMPLETIONS, "usage.num_search_queries", -1, {"counts": {}, "num_search_queries": -1}),
    Row(COMPLETIONS, "usage.cost", "free", {"cost": "free"}),
    Row(COMPLETIONS, "usage.cost", {"total": NAN}, {"cost": {"total": None}}),
]

RESULTS = "search_results"
PERPLEXITY = [
    Row(["perplexity"], f"{RESULTS}.1", 7, left_out(f"{RESULTS}.1", ranks=[1, 3])),
    Row(["perplexity"], f"{RESULTS}.1", "a word", left_out(f"{RESULTS}.1", ranks=[1, 3])),
    Row(["perplexity"], f"{RESULTS}.1", None, left_out(f"{RESULTS}.1", ranks=[1, 3])),
    Row(["perplexity"], f"{RESULTS}.0", [], left_out(f"{RESULTS}.0", ranks=[2, 3])),
    Row(
        ["perplexity"],
        f"{RESULTS}.0.url",
        {"href": "https://tea.example"},
        left_out(f"{RESULTS}.0.url", ranks=[1, 2, 3], titles=["Leaf 1", "Leaf 2", "Leaf 3"]),
    ),
    Row(["perplexity"], f"{RESULTS}.0.title", 7, {"titles": ["7", "Leaf 2", "Leaf 3"]}),
    Row(["perplexity"], f"{RESULTS}.0.date", 2026, {"dates": ["2026", *["2026-01-02"] * 2]}),
    Row(["perplexity"], f"{RESULTS}.0.last_updated", {}, left_out(f"{RESULTS}.0.last_updated")),
    Row(["perplexity"], RESULTS, {"a": 1}, left_out(RESULTS, ranks=[1, 2, 3], texts=[None] * 3)),
    Row(["perplexity"], RESULTS, "none", left_out(RESULTS, ranks=[1, 2, 3], texts=[None] * 3)),
    Row(["perplexity"], RESULTS, [7], left_out(f"{RESULTS}.0", ranks=[1, 2, 3], texts=[None] * 3)),
    Row(["perplexity"], "citations", 7, left_out("citations", ranks=[1, 2, 3])),
    Row(["perplexity"], "citations", "https://tea.example", left_out("citations", ranks=[1, 2, 3])),
    Row(["perplexity"], "images", {"url": "x"}, left_out("images")),
    Row(["perplexity"], "images", [NAN], {"images": [None]}),
    Row(["perplexity"], "related_questions", "Which?", left_out("related_questions")),
]

CITED = "choices.0.citations"
QAIP = [
    Row(["qaip"], "created", "1760000000", {"created": 1760000000}),
    Row(["qaip"], "created", {}, left_out("created", created=None)),
    Row(["qaip"], "choices.0.index", "0"),
    Row(["qaip"], "choices.0.index", [], left_out("choices.0.index")),
    Row(["qaip"], CITED, {}, left_out(CITED, ranks=[])),
    Row(["qaip"], CITED, "none", left_out(CITED, ranks=[])),
    Row(["qaip"], f"{CITED}.1", 7, left_out(f"{CITED}.1", ranks=[1, 3])),
    Row(["qaip"], f"{CITED}.1", None, left_out(f"{CITED}.1", ranks=[1, 3])),
    Row(["qaip"], f"{CITED}.1.id", 7, {"sources": ["c-1", "7", "c-3"]}),
    Row(["qaip"], f"{CITED}.1.url", {}, left_out(f"{CITED}.1.url", ranks=[1, 2, 3])),
    Row(["qaip"], f"{CITED}.1.page_number", "12", {"pages": [1, 12, 3]}),
    Row(["qaip"], f"{CITED}.1.page_number", 12.0, {"pages": [1, 12, 3]}),
    *(
        Row(
            ["qaip"],
            f"{CITED}.1.page_number",
            value,
            left_out(f"{CITED}.1.page_number", pages=[1, None, 3]),
        )
        for value in (12.5, "xii", True, NAN, [12])
    ),
    Row(
        ["qaip"],
        f"{CITED}.0.timestamp",
        NAN,
        {"source": {"file_type": "html", "keywords": ["tea"]}},
    ),
    Row(["qaip"], "citations", 7, left_out("citations", ranks=[1, 2, 3])),
    Row(["qaip"], "citations", [7], left_out("citations.0", ranks=[2, 3, 4])),
    Row(["qaip"], "conversation_id", 7, {"conversation_id": "7"}),
    Row(["qaip"], "conversation_id", {}, left_out("conversation_id")),
    Row(["qaip"], "retrieved", 7, left_out("retrieved")),
    Row(["qaip"], "redacted_input", "none", left_out("redacted_input")),
    Row(["qaip"], "choices.0.web_citations", 7, left_out("choices.0.web_citations")),
    Row(["qaip"], "choices.0.search_suggestion", {}, left_out("choices.0.search_suggestion")),
]

SOURCES = "metadata.retriever_resources"
DIFY = [
    Row(DIFYS, "message_id", 7, {"id": "7", "message_id": "7"}),
    Row(DIFYS, "message_id", {}, left_out("message_id", id="answer-1")),
    Row(DIFYS, "task_id", 7, {"task_id": "7"}),
    Row(DIFYS, "created_at", "1760000000", {"created": 1760000000}),
    Row(DIFYS, "created_at", {}, left_out("created_at", created=None)),
    Row(DIFYS, "metadata", 7, left_out("metadata", usage=None, ranks=[])),
    Row(DIFYS, "metadata.usage", "none", left_out("metadata.usage", usage=None)),
    Row(DIFYS, "metadata.usage.prompt_tokens", "12", {"usage": (12, 3)}),
    Row(
        DIFYS,
        "metadata.usage.completion_tokens",
        {},
        left_out("metadata.usage.completion_tokens", usage=(5, 0)),
    ),
    Row(DIFYS, SOURCES, {"a": 1}, left_out(SOURCES, ranks=[])),
    Row(DIFYS, f"{SOURCES}.1", 7, left_out(f"{SOURCES}.1", ranks=[1, 3])),
    Row(DIFYS, f"{SOURCES}.1", None, left_out(f"{SOURCES}.1", ranks=[1, 3])),
    Row(DIFYS, f"{SOURCES}.1.position", "2", {"ranks": [1, 2, 3]}),
    Row(DIFYS, f"{SOURCES}.1.position", {}, left_out(f"{SOURCES}.1.position", ranks=[1, 2, 3])),
    Row(DIFYS, f"{SOURCES}.1.score", "0.5", {"scores": [0.9, 0.5, 0.7]}),
    Row(DIFYS, f"{SOURCES}.1.score", 1, {"scores": [0.9, 1.0, 0.7]}),
    *(
        Row(
            DIFYS,
            f"{SOURCES}.1.score",
            value,
            left_out(f"{SOURCES}.1.score", scores=[0.9, None, 0.7]),
        )
        for value in ("high", True, NAN, INF, 10**400, {})
    ),
    Row(DIFYS, f"{SOURCES}.1.segment_id", 7, {"sources": ["s-1", "7", "s-3"]}),
    Row(DIFYS, f"{SOURCES}.1.content", {}, left_out(f"{SOURCES}.1.content", ranks=[1, 2, 3])),
    Row(
        DIFYS,
        f"{SOURCES}.1.doc_metadata",
        "none",
        left_out(
            f"{SOURCES}.1.doc_metadata",
            urls=["https://tea.example/1", None, "https://tea.example/3"],
        ),
    ),
    Row(DIFYS, "files", 7, left_out("files")),
    Row(DIFYS[1:], "conversation_id", 7, {"conversation_id": "7"}),
    Row(DIFYS[1:], "conversation_id", {}, left_out("conversation_id")),
]

CONTEXTS = "index_context_info"
PAIS = [
    Row(AGENTS, "session_id", 7, {"session_id": "7"}),
    Row(AGENTS, "session_id", {}, left_out("session_id")),
    Row(AGENTS, CONTEXTS, "none", left_out(CONTEXTS, ranks=[])),
    Row(AGENTS, f"{CONTEXTS}.1", 7, left_out(f"{CONTEXTS}.1", ranks=[1, 3])),
    Row(AGENTS, f"{CONTEXTS}.1", None, left_out(f"{CONTEXTS}.1", ranks=[1, 3])),
    Row(
        AGENTS,
        f"{CONTEXTS}.1.metadata",
        7,
        left_out(f"{CONTEXTS}.1.metadata", scores=[0.9, None, 0.7]),
    ),
    Row(AGENTS, f"{CONTEXTS}.1.metadata.score", "0.5", {"scores": [0.9, 0.5, 0.7]}),
    *(
        Row(
            AGENTS,
            f"{CONTEXTS}.1.metadata.score",
            value,
            left_out(f"{CONTEXTS}.1.metadata.score", scores=[0.9, None, 0.7]),
        )
        for value in ("high", True, NAN, INF, {})
    ),
    Row(
        AGENTS,
        f"{CONTEXTS}.1.text",
        {},
        left_out(
            f"{CONTEXTS}.1.text", texts=["Leaves are dried, 1.", None, "Leaves are dried, 3."]
        ),
    ),
]

AGENT = ("perplexity agent",)
FOUND = "output.0.results"


def _of_run(path: str, value: Any, **found: Any) -> Row:
    return Row(AGENT, f"RUN.{path}", value, found)


RUN = [
    _of_run("id", 7, id="7"),
    _of_run("id", {}, **left_out("id", id=None)),
    _of_run("model", ["m"], **left_out("model", model=None)),
    _of_run("created_at", "1760000000", created=1760000000),
    _of_run("created_at", "today", **left_out("created_at", created=None)),
    _of_run("object", {"any": 1}),
    _of_run("completed_at", {}),
    _of_run("service_tier", [7], **left_out("service_tier")),
    _of_run("previous_response_id", {}, **left_out("previous_response_id")),
    _of_run("incomplete_details", 7, **left_out("incomplete_details")),
    _of_run("usage", 7, **left_out("usage", usage=None)),
    _of_run("usage", {}, usage=None),
    _of_run("usage.input_tokens", "12", usage=(12, 3)),
    _of_run("usage.input_tokens", 12.5, **left_out("usage.input_tokens", usage=(0, 3))),
    _of_run("usage.total_tokens", None, total=8),
    _of_run("usage.cost", "free", cost="free"),
    _of_run("usage.cost", {"total_cost": NAN}, cost={"total_cost": None}),
    _of_run("output.0.queries", 7, **left_out("output.0.queries")),
    _of_run(FOUND, "none", **left_out(FOUND, ranks=[])),
    _of_run(f"{FOUND}.1", 7, **left_out(f"{FOUND}.1", titles=["Leaf 1", "Leaf 3"])),
    _of_run(f"{FOUND}.1", None, **left_out(f"{FOUND}.1", titles=["Leaf 1", "Leaf 3"])),
    _of_run(f"{FOUND}.1.id", {}, **left_out(f"{FOUND}.1.id", ranks=[1, 2, 3])),
    _of_run(
        f"{FOUND}.1.url",
        {"href": "https://tea.example"},
        **left_out(f"{FOUND}.1.url", urls=["https://tea.example/1", None, "https://tea.example/3"]),
    ),
    _of_run(f"{FOUND}.0.title", 7, titles=["7", "Leaf 2", "Leaf 3"]),
    _of_run("output.0.type", 7, **left_out("output.0.type", ranks=[])),
    _of_run("output.0", "a word", **left_out("output.0", ranks=[])),
    _of_run("output.1.role", 7),
    _of_run("output.1.content.0.annotations", 7, **left_out("output.1.content.0.annotations")),
    _of_run("output.1.content.0.annotations", [7], **left_out("output.1.content.0.annotations.0")),
]

ROWS = [*HEADS, *COUNTED, *PERPLEXITY, *QAIP, *DIFY, *PAIS, *RUN]
