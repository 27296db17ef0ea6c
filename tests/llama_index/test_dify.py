"""Dify in LlamaIndex: conversations, files, knowledge bases and workflows."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from llama_index.core.base.llms.types import DocumentBlock, ImageBlock, TextBlock
from llama_index.core.llms import ChatMessage, MessageRole

from llama_index_qaip import Dify, DifyConversation, DifyDatasetRetriever, DifyWorkflow, errors
from qaip_sandbox import Sandbox
from support.fault_server import FaultServer, json_reply, sse_reply
from support.wire import cases

QUESTION = "Within how many days can a lamp be returned?"
KEY = "test-key-5f1d0c"
CASES = {case.name: case for case in cases("dify")}
INPUTS = {"query": QUESTION}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(Path(__file__).parent.parent / "sandbox" / "docs") as running:
        yield running


def at(sandbox: Sandbox, key: str = "DIFY_API_KEY", /, **fields: Any) -> dict[str, Any]:
    switches = fields.pop("switches", {})
    headers = {"x-sandbox-switches": json.dumps(switches)} if switches else None
    known = {"api_key": sandbox.env[key], "base_url": sandbox.env["DIFY_BASE_URL"]}
    return {**known, "default_headers": headers, **fields}


def over(server: FaultServer, **fields: Any) -> dict[str, Any]:
    return {"api_key": KEY, "base_url": server.url, "max_retries": 0, "timeout": 5, **fields}


@pytest.fixture
def llm(sandbox: Sandbox) -> Iterator[DifyConversation]:
    with DifyConversation(**at(sandbox)) as made:
        yield made


@pytest.fixture(scope="module")
def dataset(sandbox: Sandbox) -> str:
    with Dify(**at(sandbox)) as made:
        return str(
            made.chat([ChatMessage(QUESTION)]).additional_kwargs["citations"][0]["dataset_id"]
        )


def test_a_conversation_goes_on_by_its_id(llm: DifyConversation) -> None:
    first = llm.chat([ChatMessage(QUESTION)])
    conversation = first.additional_kwargs["conversation_id"]
    history = [ChatMessage(QUESTION), first.message, ChatMessage("And a bulb?")]
    again = llm.chat(history, conversation_id=conversation)
    assert again.additional_kwargs["conversation_id"] == conversation
    assert [m.query for m in llm.messages(conversation)] == [QUESTION, "And a bulb?"]
    assert first.additional_kwargs["citations"]


async def test_it_goes_on_without_blocking(sandbox: Sandbox) -> None:
    async with DifyConversation(**at(sandbox)) as llm:
        first = await llm.achat([ChatMessage(QUESTION)])
        conversation = first.additional_kwargs["conversation_id"]
        stream = await llm.astream_chat([ChatMessage("More?")], conversation_id=conversation)
        *_, last = [answer async for answer in stream]
        assert last.additional_kwargs["conversation_id"] == conversation
        assert len(await llm.amessages(conversation)) == 2


def test_a_text_is_a_question(llm: DifyConversation) -> None:
    answer = llm.complete(QUESTION)
    assert "45 days" in answer.text
    *_, last = llm.stream_complete(QUESTION)
    assert last.text == answer.text
    assert last.additional_kwargs["conversation_id"]


def test_an_object_may_keep_to_one_conversation(sandbox: Sandbox, llm: DifyConversation) -> None:
    conversation = llm.complete(QUESTION).additional_kwargs["conversation_id"]
    with DifyConversation(**at(sandbox, conversation_id=conversation)) as kept:
        assert kept.complete("More?").additional_kwargs["conversation_id"] == conversation
        kept.rename(conversation, "Lamps")
        assert kept.conversations()[0].name == "Lamps"


def test_a_query_engine_cites(llm: DifyConversation) -> None:
    answer = llm.as_query_engine().query(QUESTION)
    assert answer.source_nodes


def test_an_answer_is_rated(llm: DifyConversation) -> None:
    message = llm.complete(QUESTION).additional_kwargs["message_id"]
    llm.feedback(message, "dislike", "Too long.")
    conversation = llm.conversations()[0].id
    assert llm.messages(conversation)[0].rating == "dislike"


def test_it_tells_of_its_app(llm: DifyConversation) -> None:
    assert llm.info().name == "Sandbox"
    assert llm.parameters().cites is True


@pytest.mark.parametrize("cls", [Dify, DifyConversation])
def test_images_and_documents_are_uploaded_first(server: FaultServer, cls: Any) -> None:
    name = "stream_1_9" if cls is Dify else "chat_stream"
    server.replies(
        json_reply({"id": "f1", "name": "image.png"}, 201),
        json_reply({"id": "f2", "name": "plan.pdf"}, 201),
        CASES[name].reply(),
    )
    blocks = [
        TextBlock(text="Look:"),
        ImageBlock(image=b"\x89PNG\r\n\x1a\n", image_mimetype="image/png"),
        DocumentBlock(data=b"%PDF-1.7 \xff\x00", title="plan.pdf"),
        ImageBlock(url="https://x.example/a.png"),
    ]
    with cls(**over(server)) as llm:
        llm.chat([ChatMessage(role=MessageRole.USER, blocks=blocks)])
    *uploads, call = server.requests
    assert [u.path for u in uploads] == ["/files/upload"] * 2
    assert b"\r\n\r\n\x89PNG\r\n\x1a\n\r\n" in uploads[0].body
    assert b'filename="plan.pdf"' in uploads[1].body
    assert call.json()["files"] == [
        {"type": "image", "transfer_method": "local_file", "upload_file_id": "f1"},
        {"type": "document", "transfer_method": "local_file", "upload_file_id": "f2"},
        {"type": "image", "transfer_method": "remote_url", "url": "https://x.example/a.png"},
    ]


async def test_they_are_uploaded_without_blocking(server: FaultServer) -> None:
    server.replies(json_reply({"id": "f1"}, 201), CASES["chat_stream"].reply())
    image = ImageBlock(image=b"\x89PNG\r\n\x1a\n", image_mimetype="image/png")
    async with DifyConversation(**over(server)) as llm:
        stream = await llm.astream_chat([ChatMessage(role=MessageRole.USER, blocks=[image])])
        assert [answer async for answer in stream]
    assert server.requests[1].json()["files"][0]["upload_file_id"] == "f1"


def test_a_file_may_be_uploaded_before(sandbox: Sandbox) -> None:
    with DifyConversation(**at(sandbox, switches={"vision": True})) as llm:
        file = llm.upload(b"# A", name="a.md")
        assert llm.complete(QUESTION, files=[file]).text


def test_variables_are_checked_if_that_is_wanted(sandbox: Sandbox) -> None:
    switches = {"form": [{"variable": "query"}, {"variable": "tone", "required": True}]}
    with (
        Dify(**at(sandbox, switches=switches, check_inputs=True)) as llm,
        pytest.raises(errors.InvalidParameterError, match="tone: is required"),
    ):
        llm.complete(QUESTION)


def test_a_knowledge_base_is_searched(sandbox: Sandbox, dataset: str) -> None:
    fields = at(sandbox, "DIFY_DATASET_API_KEY", dataset_id=dataset, similarity_top_k=2)
    with DifyDatasetRetriever(**fields) as retriever:
        nodes = retriever.retrieve("lamp lamps days")
    assert len(nodes) == 2
    assert "lamp" in nodes[0].text
    assert nodes[0].score is not None
    assert nodes[0].node.metadata["title"] == "lamps.txt"


async def test_it_is_searched_without_blocking(sandbox: Sandbox, dataset: str) -> None:
    fields = at(sandbox, "DIFY_DATASET_API_KEY", dataset_id=dataset)
    async with DifyDatasetRetriever(**fields, search_method="keyword_search") as retriever:
        nodes = await retriever.aretrieve(QUESTION)
    assert {node.score for node in nodes} == {None}


def test_a_long_query_is_refused_here(server: FaultServer) -> None:
    with (
        DifyDatasetRetriever(**over(server, dataset_id="d")) as retriever,
        pytest.raises(errors.InvalidParameterError, match="long_query"),
    ):
        retriever.retrieve("q" * 251)
    assert not server.requests


def test_a_workflow_runs(sandbox: Sandbox) -> None:
    with DifyWorkflow(**at(sandbox, switches={"app": "workflow"})) as workflow:
        run = workflow.run(INPUTS)
        assert (run.status, run.text) == ("succeeded", run.outputs["text"])
        assert run.id == run.metadata["workflow_run_id"]
        assert list(workflow.stream(INPUTS)) == [run.outputs]
        assert [e.name for e in workflow.events(INPUTS)][-1] == "workflow_finished"


async def test_it_runs_without_blocking(sandbox: Sandbox) -> None:
    async with DifyWorkflow(**at(sandbox, output_key="text")) as workflow:
        run = await workflow.arun(INPUTS)
        assert "".join([p async for p in workflow.astream(INPUTS)]) == run.outputs["text"]
        model = await workflow.ainput_model()
        assert list(model.model_fields) == ["query"]


async def test_an_agent_has_it_as_a_tool(sandbox: Sandbox) -> None:
    with DifyWorkflow(**at(sandbox, output_key="text")) as workflow:
        tool = workflow.as_tool()
        assert tool.metadata.get_name() == "Sandbox"
        assert "documents" in tool.metadata.description
        assert list(tool.metadata.get_parameters_dict()["properties"]) == ["query"]
        assert "45 days" in str(tool.call(query=QUESTION))
        assert "45 days" in str(await tool.acall(query=QUESTION))
        assert workflow.as_tool(name="look_up", description="d").metadata.name == "look_up"
        same = await workflow.aas_tool()
        assert (same.metadata.name, same.metadata.fn_schema_str) == (
            tool.metadata.name,
            tool.metadata.fn_schema_str,
        )
        await workflow.aclose()


def test_a_run_that_fails_tells_why_and_what_there_was(sandbox: Sandbox) -> None:
    switches = {"failure": "unavailable", "failure_after": 3}
    with (
        DifyWorkflow(**at(sandbox, switches=switches)) as workflow,
        pytest.raises(errors.ServerReportedError, match="Server Unavailable") as caught,
    ):
        workflow.run(INPUTS)
    assert caught.value.partial_text


def test_leaving_a_run_stops_it(server: FaultServer) -> None:
    piece = {"event": "text_chunk", "task_id": "t-1", "data": {"text": "Once "}}
    server.replies(sse_reply(json.dumps(piece), end="hang"), json_reply({"result": "success"}))
    with DifyWorkflow(**over(server, output_key="text")) as workflow:
        stream = workflow.stream(INPUTS)
        assert next(stream) == "Once "
        stream.close()
        assert server.wait_requests(2, 2)
    assert server.requests[1].path == "/workflows/tasks/t-1/stop"


def test_an_output_that_was_not_streamed_comes_whole(server: FaultServer) -> None:
    events = [
        {"event": "text_chunk", "data": {"text": "Thinking. "}},
        {
            "event": "workflow_finished",
            "data": {"status": "succeeded", "outputs": {"text": "Yes."}},
        },
    ]
    server.replies(sse_reply(*map(json.dumps, events)))
    with DifyWorkflow(**over(server, output_key="text")) as workflow:
        assert list(workflow.stream(INPUTS)) == ["Thinking. ", "Yes."]


def test_a_workflow_has_typed_fields(server: FaultServer) -> None:
    with pytest.raises(errors.InvalidParameterError, match="output_kee"):
        DifyWorkflow(**over(server, output_kee="text"))
    with pytest.raises(errors.InvalidParameterError, match="user"):
        DifyWorkflow(**over(server, user="x" * 256))
