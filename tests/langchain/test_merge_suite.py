"""However a stream is cut and however its chunks are grouped, they add up to one message."""

import asyncio
import gc
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import GenerationChunk

from qaip_sandbox import Sandbox
from support.fault_server import FaultServer, Reply, json_reply, sse_reply

from .models import BY_ID, CASES, CHATS, MODELS, QUESTION, TEXTS, Kind, every, merged, named

OF_BASE = "lc_run-"  # LangChain's own ids
GROWING = {"reasoning_content", "logprobs", "replacements"}  # the parts of these add up
OF_EVERY_CHUNK = {"model_provider"}
beta = pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")
few = settings(
    max_examples=10,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@dataclass(frozen=True)
class Stream:
    """A streamed answer, and its raw bytes."""

    name: str
    reply: Reply
    raw: bytes


def _event(delta: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "finish_reason": None, **delta}
    return {"id": "c-1", "created": 1769700000, "model": "m-1", "choices": [choice], **more}


def _call(index: int, arguments: str, **named: str) -> dict[str, Any]:
    known = {"id": named["id"], "type": "function"} if named else {}
    name = {"name": named["name"]} if named else {}
    return {"index": index, **known, "function": {**name, "arguments": arguments}}


def _token(token: str, logprob: float) -> dict[str, Any]:
    top = [{"token": token, "logprob": logprob, "bytes": list(token.encode())}]
    return {**top[0], "top_logprobs": top}


USAGE = {
    "prompt_tokens": 9,
    "completion_tokens": 7,
    "total_tokens": 16,
    "prompt_tokens_details": {"cached_tokens": 4},
    "completion_tokens_details": {"reasoning_tokens": 3},
}
PERF = {"server-processing-time": 0.25, "prompt-tokens": 9, "backend-host": "h-1"}
LATE: dict[str, Any] = {"usage": USAGE, "perf_metrics": PERF}
CALLS = [
    [_call(0, "", id="a", name="weigh"), _call(1, "", id="b", name="price")],
    [_call(0, '{"lamp": "Mer')],
    [_call(1, '{"lam'), _call(0, "idian")],
    [_call(0, '"}'), _call(1, 'p": 3}')],
]
WHOLE_CALLS = [
    _call(0, '{"lamp": "Meridian"}', id="a", name="weigh"),
    _call(1, '{"lamp": 3}', id="b", name="price"),
]
TOKENS = [_token("It ", -0.5), _token("weighs", -0.25), _token(" 2 kg", 0.0), _token("…", -1.5)]
TEXT = "".join(token["token"] for token in TOKENS)
OLD: dict[str, list[Any]] = {
    "tokens": ["It ", "weighs"],
    "token_logprobs": [-0.5, 0.0],
    "text_offset": [0, 3],
}


def _old(at: int) -> dict[str, Any]:
    known = {name: [values[at]] for name, values in OLD.items()}
    return {**known, "top_logprobs": [{OLD["tokens"][at]: -0.5}]}


# The same answer streamed and whole, with what the recorded fixtures do not have.
OWN: dict[str, tuple[list[dict[str, Any]], dict[str, Any]]] = {
    "tools": (
        [
            _event({"delta": {"role": "assistant", "content": None, "reasoning_content": "Two "}}),
            _event({"delta": {"reasoning_content": "facts."}}),
            *(_event({"delta": {"tool_calls": calls}}) for calls in CALLS),
            _event({"delta": {}, "finish_reason": "tool_calls"}, **LATE),
        ],
        _event(
            {
                "message": {"content": None, "reasoning_content": "Two facts."}
                | {"role": "assistant", "tool_calls": WHOLE_CALLS},
                "finish_reason": "tool_calls",
            },
            **LATE,
        ),
    ),
    "reasoning and text at once": (
        [
            _event({"delta": {"role": "assistant", "reasoning_content": "Two "}}),
            _event({"delta": {"content": "It ", "reasoning_content": "facts."}}),
            _event({"delta": {"content": "weighs"}, "finish_reason": "stop"}, **LATE),
        ],
        _event(
            {
                "message": {"content": "It weighs", "reasoning_content": "Two facts."},
                "finish_reason": "stop",
            },
            **LATE,
        ),
    ),
    "logprobs": (
        [
            _event({"delta": {"role": "assistant", "content": ""}}),
            *(
                _event({"delta": {"content": token["token"]}, "logprobs": {"content": [token]}})
                for token in TOKENS
            ),
            _event({"delta": {}, "finish_reason": "stop"}, **LATE),
        ],
        _event(
            {
                "message": {"role": "assistant", "content": TEXT},
                "finish_reason": "stop",
                "logprobs": {"content": TOKENS},
            },
            **LATE,
        ),
    ),
    "text logprobs": (
        [
            _event({"text": "It ", "logprobs": _old(0)}),
            _event({"text": "weighs", "logprobs": _old(1), "finish_reason": "length"}, **LATE),
        ],
        _event(
            {
                "text": "It weighs",
                "logprobs": {**OLD, "top_logprobs": [{"It ": -0.5}, {"weighs": -0.5}]},
                "finish_reason": "length",
            },
            **LATE,
        ),
    ),
}
OWN_OF: dict[str, list[str]] = {
    "ChatFireworks": ["tools", "reasoning and text at once", "logprobs"],
    "ChatPAIS": ["logprobs"],
    "FireworksLLM": ["text logprobs"],
    "PAISLLM": ["text logprobs"],
}
EVERY_OWN = pytest.mark.parametrize(
    ("kind", "name"),
    [pytest.param(k, n, id=f"{k.id}-{n}") for k in MODELS for n in OWN_OF.get(k.id, [])],
)


def own(name: str) -> Stream:
    """Return a stream that no fixture has."""
    reply = sse_reply(*(json.dumps(event) for event in OWN[name][0]), "[DONE]")
    return Stream(name, reply, b"".join(p for p in reply.body if isinstance(p, bytes)))


def streams_of(kind: Kind, *, longest: int = 10**9) -> list[Stream]:
    """Return every stream that a class is known to be answered with."""
    cases = [
        case
        for case in CASES
        if case.stream
        and (case.service, case.operation) == (kind.service, kind.operation)
        and case.request.get("n", 1) == 1
        and not case.expected["error"]
        and len(case.body) <= longest
    ]
    recorded = [Stream(case.name, case.reply(), case.body) for case in cases]
    return [*recorded, *map(own, OWN_OF.get(kind.id, []))]


def ask(model: Any) -> list[Any]:
    """Return the chunks of a streamed answer: messages, or a text LLM's generations."""
    return list(model.stream("q") if isinstance(model, BaseChatModel) else model._stream("q"))


async def aask(model: Any) -> list[Any]:
    chunks = model.astream("q") if isinstance(model, BaseChatModel) else model._astream("q")
    return [chunk async for chunk in chunks]


def known(answer: Any) -> dict[str, Any]:
    """Return all that an answer says; an id of LangChain's own is another for every run."""
    dump: dict[str, Any] = answer.model_dump()
    if str(dump.get("id", "")).startswith(OF_BASE):
        dump["id"] = OF_BASE
    return dump


def pieces(raw: bytes, cuts: Sequence[int]) -> list[bytes | float]:
    """Return the bytes in pieces, with pauses in which the client reads them."""
    places = [0, *sorted(set(cuts)), len(raw)]
    parts: list[bytes | float] = []
    for start, end in pairwise(places):
        parts += [raw[start:end], 0.0003]
    return parts[:-1]


@st.composite
def cut_streams(draw: st.DrawFn, streams: Sequence[Stream]) -> tuple[Stream, list[int]]:
    """Draw a stream and places to cut it: anywhere, or inside characters and line ends."""
    stream = draw(st.sampled_from(streams))
    size = len(stream.raw)
    tender = [i for i, byte in enumerate(stream.raw) if i and (byte >= 0x80 or byte in b"\r\n[")]
    place = st.integers(1, size - 1)
    place = place | st.sampled_from(tender) if tender else place
    return stream, draw(st.lists(place, min_size=1, max_size=5))


def grouped(chunks: Sequence[Any], random: Random) -> Any:
    """Add up chunks in groups, and groups of groups, that chance makes."""
    if len(chunks) == 1:
        return chunks[0]
    middle = random.randint(1, len(chunks) - 1)
    return grouped(chunks[:middle], random) + grouped(chunks[middle:], random)


# Any way to cut and to group


@every(MODELS)
def test_bytes_may_be_cut_anywhere(kind: Kind, server: FaultServer) -> None:
    streams = streams_of(kind, longest=12_000)
    expected: dict[str, dict[str, Any]] = {}
    with kind.at(server.url) as model, asyncio.Runner() as runner:
        for stream in streams:
            server.replies(stream.reply)
            expected[stream.name] = known(merged(ask(model)))

        @few
        @given(cut=cut_streams(streams), sync=st.booleans())
        def check(cut: tuple[Stream, list[int]], sync: bool) -> None:
            stream, cuts = cut
            server.replies(replace(stream.reply, body=pieces(stream.raw, cuts)))
            chunks = ask(model) if sync else runner.run(aask(model))
            assert known(merged(chunks)) == expected[stream.name]

        check()
        runner.run(model.aclose())


@every(MODELS)
def test_every_byte_may_come_alone(kind: Kind, server: FaultServer) -> None:
    case = BY_ID[f"{kind.service}/{kind.stream}"]
    server.replies(case.reply(), case.reply(sizes=1))
    with kind.at(server.url) as model:
        together, alone = merged(ask(model)), merged(ask(model))
    assert known(alone) == known(together)


@pytest.mark.parametrize("version", ["v0", "v1"])
@every(CHATS)
def test_chunks_of_a_message_may_be_grouped_in_any_way(
    kind: Kind, version: str, server: FaultServer
) -> None:
    with kind.at(server.url, output_version=version) as model:
        check_grouping(kind, model, server)


@every(TEXTS)
def test_chunks_of_a_text_may_be_grouped_in_any_way(kind: Kind, server: FaultServer) -> None:
    with kind.at(server.url) as model:
        check_grouping(kind, model, server)


def check_grouping(kind: Kind, model: Any, server: FaultServer) -> None:
    answers: list[list[Any]] = []
    for stream in streams_of(kind):
        server.replies(stream.reply)
        answers.append(ask(model))
    expected = [known(merged(chunks)) for chunks in answers]

    @few
    @given(number=st.integers(0, len(answers) - 1), random=st.randoms(use_true_random=False))
    def check(number: int, random: Random) -> None:
        assert known(grouped(answers[number], random)) == expected[number]

    check()


@every(CHATS)
def test_all_chunks_may_be_added_at_once(kind: Kind, server: FaultServer) -> None:
    with kind.at(server.url) as model:
        for stream in streams_of(kind):
            server.replies(stream.reply)
            first, *others = ask(model)
            assert known(first + others) == known(merged([first, *others]))


@every(MODELS)
def test_adding_chunks_up_leaves_them_as_they_were(kind: Kind, server: FaultServer) -> None:
    with kind.at(server.url) as model:
        for stream in streams_of(kind):
            server.replies(stream.reply)
            chunks = ask(model)
            before = [chunk.model_dump() for chunk in chunks]
            once, again = known(merged(chunks)), known(merged(chunks))
            assert once == again
            assert [chunk.model_dump() for chunk in chunks] == before


# What stands on which chunk


def facts_of(chunk: Any) -> list[str]:
    """Return the names of all that a chunk says beside its text."""
    if isinstance(chunk, GenerationChunk):
        return list(chunk.generation_info or {})
    usage = [] if chunk.usage_metadata is None else ["usage_metadata"]
    return [*chunk.response_metadata, *chunk.additional_kwargs, *usage]


def by_stream(
    kind: Kind, server: FaultServer, look: Callable[[list[Any]], Any], **given_: Any
) -> dict[str, Any]:
    """Return what a look at the chunks of every stream finds, where it finds something."""
    found: dict[str, Any] = {}
    with kind.at(server.url, **given_) as model:
        for stream in streams_of(kind):
            server.replies(stream.reply)
            found[stream.name] = look(ask(model))
    assert found
    return {name: fault for name, fault in found.items() if fault}


@every(MODELS)
def test_every_fact_stands_on_one_chunk(kind: Kind, server: FaultServer) -> None:
    def repeated(chunks: list[Any]) -> set[str]:
        count = Counter(fact for chunk in chunks for fact in facts_of(chunk))
        return {fact for fact, times in count.items() if times > 1} - GROWING - OF_EVERY_CHUNK

    assert by_stream(kind, server, repeated) == {}


@every(CHATS)
def test_only_the_last_chunk_is_marked_so_and_it_says_nothing_new(
    kind: Kind, server: FaultServer
) -> None:
    def misplaced(chunks: list[Any]) -> Any:
        marked = [i for i, chunk in enumerate(chunks) if chunk.chunk_position == "last"]
        last = chunks[-1]
        said = last.content or last.tool_call_chunks or last.additional_kwargs.keys() & GROWING
        return said or (marked if marked != [len(chunks) - 1] else None)

    assert by_stream(kind, server, misplaced) == {}


@every(CHATS)
def test_a_chunk_has_text_or_reasoning_or_tool_calls(kind: Kind, server: FaultServer) -> None:
    def mixed(chunks: list[Any]) -> list[Any]:
        kinds = [
            (
                bool(chunk.content),
                bool(chunk.additional_kwargs.get("reasoning_content")),
                bool(chunk.tool_call_chunks),
            )
            for chunk in chunks
        ]
        return [said for said in kinds if sum(said) > 1]

    assert by_stream(kind, server, mixed) == {}


@every(CHATS)
def test_all_reasoning_comes_before_the_text(kind: Kind, server: FaultServer) -> None:
    def late(chunks: list[Any]) -> bool:
        thinking = [i for i, c in enumerate(chunks) if "reasoning_content" in c.additional_kwargs]
        speaking = [i for i, chunk in enumerate(chunks) if chunk.content]
        return bool(thinking and speaking and thinking[-1] > speaking[0])

    assert by_stream(kind, server, late) == {}


@pytest.mark.parametrize("version", ["v0", "v1"])
@every(CHATS)
def test_the_name_of_the_model_stands_on_the_first_chunk_and_once_in_the_sum(
    kind: Kind, version: str, server: FaultServer
) -> None:
    def wrong(chunks: list[Any]) -> Any:
        first = chunks[0].response_metadata
        total = merged(chunks).response_metadata
        fine = first["model_name"] == total["model_name"]
        fine = fine and first["model_provider"] == total["model_provider"]
        return None if fine else (first, total)

    assert by_stream(kind, server, wrong, output_version=version) == {}


@every(MODELS)
def test_the_sum_has_the_numbers_and_the_reason_of_the_wire(
    kind: Kind, server: FaultServer
) -> None:
    facts: dict[str, Any] = {}
    with kind.at(server.url) as model:
        for stream in streams_of(kind):
            server.replies(stream.reply)
            total = merged(ask(model))
            info = total.response_metadata if kind.chat else total.generation_info
            usage = info.get("token_usage")
            facts[stream.name] = (info.get("finish_reason"), usage and usage["total_tokens"])
    assert facts == {name: wanted(kind, name) for name in facts}


def wanted(kind: Kind, name: str) -> tuple[str | None, int | None]:
    """Return the finish_reason and the number of tokens that a stream is known to say."""
    if name in OWN:
        return OWN[name][0][-1]["choices"][0]["finish_reason"], USAGE["total_tokens"]  # type: ignore[return-value]
    expected = BY_ID[f"{kind.service}/{name}"].expected
    usage = expected["usage"]
    return expected["finish_reason"], usage and usage["total_tokens"]


# A stream against the same answer given whole

PAIRS = [
    ("dify", "blocking_1_16", "stream_1_16"),
    ("dify", "blocking_scores", "stream_citations_scores"),
    ("dify", "blocking_0_15", "stream_0_15"),
    ("fireworks", "chat_whole", "chat_stream_usage_trailing"),
    ("fireworks", "chat_whole_think_tags", "chat_stream_think_tags"),
    ("pais", "chat_whole", "chat_stream_engine"),
    ("perplexity", "whole_2026_06", "stream_2026_06_pings"),
    ("perplexity", "whole_think", "stream_think"),
    ("perplexity", "whole_seed_2024", "stream_seed_2024"),
    ("perplexity", "whole_attachment", "stream_attachment"),
    ("perplexity", "whole_images_related", "stream_images_related"),
    ("qaip", "whole_seed", "stream_citations_every_line_seed"),
    ("perplexity-agent", "agent_whole", "agent_stream"),
    ("perplexity-agent", "agent_whole", "agent_stream_without_deltas"),
    ("pais-agent", "agent_chat_whole", "agent_chat_stream_usage"),
    ("dify-conversation", "chat_blocking", "chat_stream"),
]


def whole_and_streamed(
    kind: Kind, whole: Reply, streamed: Reply, server: FaultServer, **fields: Any
) -> tuple[Any, Any]:
    mode = {"response_mode": "blocking"} if kind.service == "dify" else {}
    server.replies(whole, streamed)
    with kind.at(server.url, **mode, **fields) as model:
        answer = model.invoke("q") if kind.chat else model.generate(["q"]).generations[0][0]
        return answer, merged(ask(model))


def check_message(whole: AIMessage, total: AIMessageChunk) -> None:
    of_a_chunk = {"type", "tool_call_chunks", "chunk_position"}
    assert {k: v for k, v in known(total).items() if k not in of_a_chunk} == {
        k: v for k, v in known(whole).items() if k not in of_a_chunk
    }
    assert total.content_blocks == whole.content_blocks


@pytest.mark.parametrize("version", ["v0", "v1"])
@pytest.mark.parametrize(("name", "whole", "streamed"), PAIRS, ids=lambda part: part)
def test_a_recorded_stream_is_the_recorded_whole(
    name: str, whole: str, streamed: str, version: str, server: FaultServer
) -> None:
    kind = named(name)
    one, other = (BY_ID[f"{kind.service}/{case}"].reply() for case in (whole, streamed))
    answer, total = whole_and_streamed(kind, one, other, server, output_version=version)
    if version == "v1":
        for message in (answer, total):
            for block in message.content:
                block.pop("index", None)
    check_message(answer, total)


@EVERY_OWN
def test_tool_calls_logprobs_usage_and_metrics_add_up_to_the_whole(
    kind: Kind, name: str, server: FaultServer
) -> None:
    whole = json_reply(OWN[name][1])
    answer, total = whole_and_streamed(kind, whole, own(name).reply, server)
    if kind.chat:
        check_message(answer, total)
    else:
        assert (total.text, total.generation_info) == (answer.text, answer.generation_info)


def test_fragments_of_tool_calls_that_interleave_become_whole_calls(server: FaultServer) -> None:
    server.replies(own("tools").reply)
    fireworks = next(kind for kind in CHATS if kind.service == "fireworks")
    with fireworks.at(server.url) as model:
        total = merged(ask(model))
    assert [(c["id"], c["name"], c["args"]) for c in total.tool_calls] == [
        ("a", "weigh", {"lamp": "Meridian"}),
        ("b", "price", {"lamp": 3}),
    ]
    assert total.invalid_tool_calls == []
    assert [block["type"] for block in total.content_blocks] == [
        "reasoning",
        "tool_call",
        "tool_call",
    ]


def test_logprobs_of_a_stream_stand_beside_the_text_that_they_rate(sandbox: Sandbox) -> None:
    fireworks = next(kind for kind in TEXTS if kind.service == "fireworks")
    with fireworks.over(sandbox, logprobs=1) as llm:
        chunks = list(llm._stream(QUESTION))
        (generation,) = llm.generate([QUESTION]).generations[0]
    for chunk in chunks:
        rated = (chunk.generation_info or {}).get("logprobs") or {"tokens": []}
        assert "".join(rated["tokens"]) == chunk.text
    logprobs = merged(chunks).generation_info["logprobs"]
    assert logprobs == generation.generation_info["logprobs"]


# Events of version 3 against the chunks of the same stream


def events_of(model: Any) -> list[Any]:
    return list(model.stream_events("q", version="v3"))


async def aevents(model: Any) -> Any:
    return await (await model.astream_events("q", version="v3")).output


@pytest.fixture
def _without_collection() -> Iterator[None]:
    """No collection of garbage while a call is made.

    What it closes then may need the very lock that the call holds in the HTTP client, and both
    would wait for ever.
    """
    gc.disable()
    yield
    gc.enable()


no_collection = pytest.mark.usefixtures("_without_collection")


@beta
@no_collection
@pytest.mark.parametrize("sync", [True, False], ids=["sync", "async"])
@every(CHATS)
def test_v3_events_leave_the_connection_to_the_next_call(
    kind: Kind, sync: bool, server: FaultServer
) -> None:
    server.replies(kind.reply(stream=True))
    with kind.at(server.url) as model, asyncio.Runner() as runner:
        for _ in range(4):
            assert events_of(model) if sync else runner.run(aevents(model))
        assert (server.open_connections, len(server.requests)) == (1, 4)
        runner.run(model.aclose())


@beta
@no_collection
@pytest.mark.parametrize("sync", [True, False], ids=["sync", "async"])
@every(CHATS)
def test_v3_events_add_up_to_the_sum_of_the_chunks(
    kind: Kind, sync: bool, server: FaultServer
) -> None:
    with kind.at(server.url, output_version="v1") as model, asyncio.Runner() as runner:
        for stream in streams_of(kind):
            server.replies(stream.reply, stream.reply)
            total = merged(ask(model))
            output = (
                model.stream_events("q", version="v3").output
                if sync
                else runner.run(aevents(model))
            )
            assert told(output) == told(total), stream.name
        runner.run(model.aclose())


def told(message: AIMessage) -> dict[str, Any]:
    """Return what a message says, whichever way it was put together."""
    blocks: list[Any] = [{**block, "index": None} for block in message.content_blocks]
    return {
        "blocks": blocks,
        "text": message.text,
        "calls": message.tool_calls,
        "facts": message.response_metadata,
        "more": {k: v for k, v in message.additional_kwargs.items() if k not in GROWING},
        "usage": message.usage_metadata,
        "id": "" if str(message.id).startswith(OF_BASE) else message.id,
    }


@beta
@no_collection
@every(CHATS)
def test_a_v3_block_begins_grows_and_ends_as_the_sum_of_its_deltas(
    kind: Kind, server: FaultServer
) -> None:
    with kind.at(server.url) as model:
        for stream in streams_of(kind):
            server.replies(stream.reply)
            first, *inner, last = events_of(model)
            assert (first["event"], last["event"]) == ("message-start", "message-finish")
            blocks: dict[int, list[Any]] = {}
            for event in inner:
                blocks.setdefault(event["index"], []).append(event)
            assert sorted(blocks) == list(range(len(blocks)))
            for start, *deltas, end in blocks.values():
                assert start["event"] == "content-block-start"
                assert {delta["event"] for delta in deltas} <= {"content-block-delta"}
                assert end["event"] == "content-block-finish"
                said = "".join(map(said_by, deltas))
                content = end["content"]
                if content["type"].startswith("server_tool"):  # whole as it comes
                    assert (deltas, {**start["content"], "index": end["index"]}) == ([], content)
                    continue
                calls = content["type"] == "tool_call"
                assert (json.loads(said) if calls else said) == content[
                    "args" if calls else content["type"]
                ], stream.name


def said_by(event: Mapping[str, Any]) -> str:
    """Return the piece of text that a delta adds to its block."""
    delta = event["delta"]
    names = {"text-delta": "text", "reasoning-delta": "reasoning"}
    fields = delta.get("fields", {})
    return str(delta.get(names.get(delta["type"], "args")) or fields.get("args") or "")
