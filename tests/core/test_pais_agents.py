"""Agents of PAIS: what is sent to them, and what is read of their answers."""

import json
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Any

import pytest

from qaip_core import AsyncClient, Client, Completion, errors
from qaip_core.backend import Endpoint
from qaip_core.backends.pais.agent import AGENT_CHAT, AGENT_TEXT
from qaip_core.types import add_up
from support.backends import settings
from support.fault_server import FaultServer, Reply, json_reply, sse_reply

AGENT = {"agent_id": "ag-1"}
OPENAI = "/api/v1/compatibility/openai/v1"
SESSION = "c7b1f9de-0a53-4a7e-b9d4-11f2a3b4c5d6"
PASSAGE = {
    "text": "Green tea is heated.",
    "metadata": {"document_id": "d-1", "score": 0.5, "origin_name": "teas.pdf"},
}
OTHER = {"text": "Black tea is oxidised.", "metadata": {"document_id": "d-2", "score": 0.25}}
ENDS = {"delta": {"content": "."}, "finish_reason": "stop", "index": 0}


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as started:
        yield started


def whole(**more: Any) -> Reply:
    choice = {"index": 0, "message": {"content": "Tea."}, "text": "Tea.", "finish_reason": "stop"}
    return json_reply({"choices": [choice], "created": 1, "model": "m", "usage": {}, **more})


def events(*chunks: Mapping[str, Any]) -> Reply:
    said = [{"created": 1, "model": "m", "choices": [], **chunk} for chunk in chunks]
    return sse_reply(*(json.dumps(chunk) for chunk in said), "[DONE]")


def piece(text: str, **more: Any) -> dict[str, Any]:
    return {"choices": [{"delta": {"content": text}, "index": 0, "finish_reason": None}], **more}


def ask(
    server: FaultServer,
    reply: Reply,
    endpoint: Endpoint = AGENT_CHAT,
    /,
    *,
    stream: bool = False,
    **values: Any,
) -> Completion:
    server.replies(reply)
    with closing(Client(settings(endpoint, server.url))) as client:
        if stream:
            return add_up(client.stream(endpoint, "q", {**AGENT, **values}))
        return client.complete(endpoint, "q", {**AGENT, **values})


def sent(server: FaultServer) -> Any:
    return server.requests[-1].json()


@pytest.mark.parametrize(
    ("endpoint", "path", "body"),
    [
        (AGENT_CHAT, f"{OPENAI}/agents/ag-1/chat/completions", {"messages": [{"role": "user"}]}),
        (AGENT_TEXT, f"{OPENAI}/agents/ag-1/completions", {"prompt": "q"}),
    ],
    ids=["chat", "text"],
)
def test_an_agent_is_asked_at_its_own_path_and_for_nothing_else(
    server: FaultServer, endpoint: Endpoint, path: str, body: dict[str, Any]
) -> None:
    ask(server, whole(), endpoint)
    request = server.requests[-1]
    asked = sent(server)
    for message in asked.get("messages", ()):
        assert message.pop("content") == "q"
    assert (request.method, request.path, asked) == ("POST", path, body)


def test_a_stream_is_not_asked_for_its_usage_since_agents_do_not_document_that(
    server: FaultServer,
) -> None:
    ask(server, events(piece("Tea"), {"choices": [ENDS]}), stream=True)
    assert sent(server).keys() == {"messages", "stream"}


def test_a_stream_is_asked_for_its_usage_if_that_is_wanted(server: FaultServer) -> None:
    wanted = {"include_usage": True}
    ask(server, events(piece("Tea"), {"choices": [ENDS]}), stream=True, stream_options=wanted)
    assert sent(server)["stream_options"] == wanted


EVERYTHING: Mapping[str, Any] = {
    "model": "m",
    "create_session": True,
    "store_in_session": SESSION,
    "temperature": 0.5,
    "n": 1,
    "stop": ["END"],
    "max_tokens": 5,
    "max_completion_tokens": 6,
    "seed": 7,
    "top_p": 0.5,
    "top_k": 8,
    "presence_penalty": -2,
    "frequency_penalty": 2,
    "response_format": {"type": "json_object"},
}


def test_every_parameter_is_sent_as_it_is(server: FaultServer) -> None:
    ask(server, whole(), AGENT_TEXT, **EVERYTHING)
    assert sent(server) == {"prompt": "q", **EVERYTHING}


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"agent_id": None}, "needs 'agent_id'"),
        ({"agent_id": ".."}, "agent_id"),
        ({"store_in_session": "yesterday"}, "store_in_session"),
        ({"session_id": SESSION}, "'session_id'"),
        ({"top_p": 1.5}, "top_p"),
        ({"top_k": 0}, "top_k"),
        ({"presence_penalty": 3}, "presence_penalty"),
        ({"tools": []}, "tools"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_what_cannot_be_right_is_refused_before_it_is_sent(
    server: FaultServer, values: dict[str, Any], words: str
) -> None:
    with pytest.raises(errors.InvalidParameterError, match=words):
        ask(server, whole(), **values)
    assert server.requests == []


def test_an_id_cannot_lead_to_another_path(server: FaultServer) -> None:
    ask(server, whole(), agent_id="a/../b?x")
    assert server.requests[-1].path == f"{OPENAI}/agents/a%2F..%2Fb%3Fx/chat/completions"


def test_a_passage_becomes_a_citation_with_all_that_is_known_of_it(server: FaultServer) -> None:
    facts = {
        "document_id": "d-1",
        "score": 0.83,
        "origin_name": "teas.pdf",
        "origin_ref": "https://tea.example/teas.pdf",
        "media_type": "application/pdf",
    }
    answer = ask(server, whole(index_context_info=[{"text": "Green.", "metadata": facts}]))
    (known,) = answer.citations
    assert (known.url, known.title, known.text) == (facts["origin_ref"], "teas.pdf", "Green.")
    assert (known.score, known.rank, known.spans) == (0.83, 1, ())
    assert facts.items() <= {**known.metadata, "score": known.score}.items()


def test_markers_are_left_alone_since_their_syntax_is_not_documented(server: FaultServer) -> None:
    said = {"index": 0, "message": {"content": "Tea [1]."}, "finish_reason": "stop"}
    answer = ask(server, whole(choices=[said], index_context_info=[PASSAGE]))
    assert answer.text == "Tea [1]."
    assert answer.citations[0].spans == ()


def test_ids_are_those_of_document_and_text(server: FaultServer) -> None:
    listed = [PASSAGE, OTHER, {**OTHER, "metadata": PASSAGE["metadata"]}]
    first = ask(server, whole(index_context_info=listed)).citations
    again = ask(server, whole(index_context_info=[OTHER, PASSAGE])).citations
    assert len({c.id for c in first}) == 3
    assert [c.id for c in again] == [first[1].id, first[0].id]


def test_a_passage_without_its_facts_is_still_a_citation(server: FaultServer) -> None:
    answer = ask(server, whole(index_context_info=[{"text": "Tea."}, {"metadata": {}}]))
    assert [(c.text, c.score, c.url, c.rank) for c in answer.citations] == [
        ("Tea.", None, None, 1),
        (None, None, None, 2),
    ]


def test_a_passage_that_cannot_be_read_is_noted_and_leaves_its_place(server: FaultServer) -> None:
    answer = ask(server, whole(index_context_info=["?", PASSAGE]))
    assert [c.rank for c in answer.citations] == [2]
    assert "index_context_info.0" in answer.metadata["malformed"]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("sources", ["?", {"text": "Tea."}, 5], ids=str)
def test_sources_of_another_shape_do_not_spoil_the_answer(
    server: FaultServer, sources: Any, stream: bool
) -> None:
    streamed = events(piece("Te", index_context_info=sources), {"choices": [ENDS]})
    reply = streamed if stream else whole(index_context_info=sources)
    answer = ask(server, reply, stream=stream)
    assert answer.text == ("Te." if stream else "Tea.")
    assert answer.citations == ()
    assert answer.metadata["malformed"]


def test_the_session_is_part_of_the_metadata(server: FaultServer) -> None:
    assert ask(server, whole(session_id=SESSION)).metadata["session_id"] == SESSION
    assert "session_id" not in ask(server, whole(session_id=None)).metadata


STREAMS: Mapping[str, list[dict[str, Any]]] = {
    "on the first chunk": [
        piece("Te", session_id=SESSION, index_context_info=[PASSAGE]),
        piece("a"),
        {"choices": [ENDS]},
    ],
    "on a chunk of their own": [
        piece("Te"),
        piece("a"),
        {"choices": [ENDS]},
        {"session_id": SESSION, "index_context_info": [PASSAGE]},
    ],
    "taken back by empty ones": [
        piece("Te", session_id=SESSION, index_context_info=[PASSAGE]),
        piece("a", session_id="", index_context_info=[]),
        {"choices": [ENDS], "session_id": None, "index_context_info": None},
    ],
    "growing": [
        piece("Te", session_id="x", index_context_info=[OTHER]),
        piece("a", session_id=SESSION, index_context_info=[PASSAGE]),
        {"choices": [ENDS]},
    ],
    "on every chunk": [
        piece(text, session_id=SESSION, index_context_info=[PASSAGE]) for text in ("T", "e", "a")
    ]
    + [{"choices": [ENDS]}],
}


@pytest.mark.parametrize("chunks", STREAMS.values(), ids=STREAMS.keys())
def test_session_and_sources_come_once_on_the_last_increment(
    server: FaultServer, chunks: list[dict[str, Any]]
) -> None:
    server.replies(events(*chunks))
    with closing(Client(settings(AGENT_CHAT, server.url))) as client:
        increments = list(client.stream(AGENT_CHAT, "q", AGENT))
    assert "".join(i.text for i in increments) == "Tea."
    assert [bool(i.citations) for i in increments] == [False] * (len(increments) - 1) + [True]
    assert [c.text for c in increments[-1].citations] == [PASSAGE["text"]]
    assert increments[-1].metadata["session_id"] == SESSION


def test_a_stream_that_is_cut_keeps_session_and_sources(server: FaultServer) -> None:
    chunk = {"model": "m", **piece("Te", session_id=SESSION, index_context_info=[PASSAGE])}
    with pytest.raises(errors.IncompleteStreamError) as caught:
        ask(server, sse_reply(json.dumps(chunk), "[DONE]"), stream=True)
    partial = caught.value.partial
    assert partial is not None
    assert (partial.text, len(partial.citations)) == ("Te", 1)
    assert partial.metadata["session_id"] == SESSION


async def test_an_agent_is_asked_without_blocking(server: FaultServer) -> None:
    server.replies(whole(index_context_info=[PASSAGE]), events(*STREAMS["growing"]))
    client = AsyncClient(settings(AGENT_CHAT, server.url))
    answer = await client.complete(AGENT_CHAT, "q", AGENT)
    grown = add_up([i async for i in client.stream(AGENT_CHAT, "q", AGENT)])
    assert answer.citations == grown.citations
    await client.close()


@pytest.mark.parametrize(
    ("reply", "error", "words"),
    [
        (
            json_reply(
                {"detail": "No agent found with the specified ID or invalid Session ID"}, 404
            ),
            errors.NotFoundError,
            "/agents/ag-1/chat/completions",
        ),
        (Reply(status=404, framing="length"), errors.NotFoundError, "/agents/ag-1/"),
        (
            json_reply({"detail": "Unexpected model in completions message"}, 400),
            errors.BadRequestError,
            "Unexpected model",
        ),
        (
            json_reply({"detail": [{"error_code": "AGENT_COMPLETION_FAILED", "msg": "no"}]}, 502),
            errors.ServerError,
            "no. .*settings of the agent",
        ),
    ],
    ids=["no agent", "empty 404", "another model", "cold"],
)
def test_a_refusal_has_its_own_class_and_words(
    server: FaultServer, reply: Reply, error: type[errors.ServiceError], words: str
) -> None:
    with pytest.raises(error, match=words):
        ask(server, reply)
