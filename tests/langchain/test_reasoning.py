"""Reasoning stands apart from the answer, whole and streamed."""

from typing import Any

import pytest

from support.fault_server import FaultServer
from support.wire import WireCase

from .models import CASES, Kind, every, merged, of_case

SOUND = [case for case in CASES if not case.expected["error"]]
THINKING = [c for c in SOUND if c.expected["reasoning"] and c.expected["text"]]
KINDS = [(of_case(case, chat=True), case) for case in THINKING]
PARAMS = [(pytest.param(k, c, id=c.id), c.stream) for k, c in KINDS if k]
every_case = pytest.mark.parametrize(("kind", "case"), [param for param, _ in PARAMS])
every_stream = pytest.mark.parametrize(("kind", "case"), [p for p, stream in PARAMS if stream])
beta = pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")


def ask(kind: Kind, case: WireCase, server: FaultServer, **fields: Any) -> list[Any]:
    """Return the chunks of a stream, or the only message."""
    server.replies(case.reply(sizes=5))
    with kind.at(server.url, **fields) as model:
        return list(model.stream("q")) if case.stream else [model.invoke("q")]


@pytest.mark.parametrize("version", ["v0", "v1"])
@every_case
def test_there_is_one_block_of_reasoning_and_one_of_text(
    kind: Kind, case: WireCase, version: str, server: FaultServer
) -> None:
    message = merged(ask(kind, case, server, output_version=version))
    assert message.additional_kwargs["reasoning_content"] == case.expected["reasoning"]
    blocks = [(b["type"], b.get("reasoning") or b.get("text")) for b in message.content_blocks]
    assert blocks == [("reasoning", case.expected["reasoning"]), ("text", case.expected["text"])]
    assert message.text == case.expected["text"]


@every_stream
def test_no_chunk_has_both_reasoning_and_text(
    kind: Kind, case: WireCase, server: FaultServer
) -> None:
    chunks = ask(kind, case, server)
    both = [c for c in chunks if c.text and c.additional_kwargs.get("reasoning_content")]
    assert both == []


@beta
@every_stream
def test_v3_events_keep_reasoning_and_text_apart(
    kind: Kind, case: WireCase, server: FaultServer
) -> None:
    server.replies(case.reply(sizes=5))
    with kind.at(server.url) as model:
        output = model.stream_events("q", version="v3").output
    assert [block["type"] for block in output.content] == ["reasoning", "text"]
    assert output.content[0]["reasoning"] == case.expected["reasoning"]
    assert output.text == case.expected["text"]


@every([k for k, _ in KINDS if k and k.service == "fireworks"][:1])
def test_reasoning_is_given_back_where_the_service_takes_it(
    kind: Kind, server: FaultServer
) -> None:
    case = next(c for c in THINKING if c.service == "fireworks" and not c.stream)
    server.replies(case.reply())
    with kind.at(server.url) as model:
        answer = model.invoke("q")
        model.invoke([("human", "q"), answer, ("human", "more")])
    turn = server.requests[-1].json()["messages"][1]
    assert turn["reasoning_content"] == case.expected["reasoning"]
    assert turn["content"] == case.expected["text"]


def test_reasoning_is_not_given_back_where_the_service_does_not(server: FaultServer) -> None:
    case = next(c for c in THINKING if c.service == "perplexity" and not c.stream)
    kind = of_case(case, chat=True)
    assert kind is not None
    server.replies(case.reply())
    with kind.at(server.url) as model:
        answer = model.invoke("q")
        model.invoke([("human", "q"), answer, ("human", "more")])
    expected = {"role": "assistant", "content": case.expected["text"]}
    assert server.requests[-1].json()["messages"][1] == expected
