"""Dify in LangChain: conversations, files, knowledge bases and workflows."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core import exceptions as theirs
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.load import dumpd, load
from langchain_core.messages import AIMessage, HumanMessage

from langchain_qaip import (
    ChatDify,
    ChatDifyConversation,
    DifyDatasetRetriever,
    DifyLLM,
    DifyWorkflow,
    documents,
    errors,
)
from qaip_sandbox import Sandbox
from support.fault_server import FaultServer, json_reply, sse_reply
from support.wire import cases

from .models import KEY

BROAD = "lamp lamps days"
QUESTION = "Within how many days can a lamp be returned?"
PNG = {"type": "image", "base64": "iVBORw0KGgo=", "mime_type": "image/png"}
CASES = {case.name: case for case in cases("dify")}


def at(sandbox: Sandbox, key: str = "DIFY_API_KEY", /, **fields: Any) -> dict[str, Any]:
    """What reaches the sandbox, under switches if there are."""
    switches = fields.pop("switches", {})
    headers = {"x-sandbox-switches": json.dumps(switches)} if switches else None
    known = {"api_key": sandbox.env[key], "base_url": sandbox.env["DIFY_BASE_URL"]}
    return {**known, "default_headers": headers, **fields}


@pytest.fixture
def chat(sandbox: Sandbox) -> Iterator[ChatDifyConversation]:
    with ChatDifyConversation(**at(sandbox)) as model:
        yield model


@pytest.fixture(scope="module")
def dataset(sandbox: Sandbox) -> str:
    with ChatDify(**at(sandbox)) as model:
        (first, *_) = documents(model.invoke(QUESTION))
    return str(first.metadata["dataset_id"])


def over(server: FaultServer, **fields: Any) -> dict[str, Any]:
    return {"api_key": KEY, "base_url": server.url, "max_retries": 0, "timeout": 5, **fields}


# ---- conversations


def test_a_conversation_goes_on_by_its_id(chat: ChatDifyConversation) -> None:
    first = chat.invoke(QUESTION)
    conversation = first.response_metadata["conversation_id"]
    again = chat.invoke("And a bulb?", conversation_id=conversation)
    assert again.response_metadata["conversation_id"] == conversation
    assert [m.query for m in chat.messages(conversation)] == [QUESTION, "And a bulb?"]
    assert documents(first)


async def test_it_goes_on_without_blocking(sandbox: Sandbox) -> None:
    async with ChatDifyConversation(**at(sandbox)) as model:
        first = await model.ainvoke(QUESTION)
        conversation = first.response_metadata["conversation_id"]
        chunks = [c async for c in model.astream("More?", conversation_id=conversation)]
        told = [c.response_metadata.get("conversation_id") for c in chunks]
        assert [known for known in told if known] == [conversation]
        page = await model.amessages(conversation)
        assert [m.query for m in page] == [QUESTION, "More?"]
        assert conversation in [c.id for c in await model.aconversations()]
        assert (await model.arename(conversation, "Lamps")).name == "Lamps"


def test_an_object_may_keep_to_one_conversation(chat: ChatDifyConversation) -> None:
    conversation = chat.invoke(QUESTION).response_metadata["conversation_id"]
    kept = chat.model_copy(update={"conversation_id": conversation})
    kept.invoke([HumanMessage("q"), AIMessage("a"), HumanMessage("And then?")])
    assert [m.query for m in chat.messages(conversation)][1:] == ["And then?"]


def test_the_conversation_of_the_last_answer_is_resumed_if_that_is_wanted(
    sandbox: Sandbox,
) -> None:
    with ChatDifyConversation(**at(sandbox, resume=True)) as model:
        first = model.invoke(QUESTION)
        conversation = first.response_metadata["conversation_id"]
        history = [HumanMessage(QUESTION), first, HumanMessage("And then?")]
        again = model.invoke(history)
        assert again.response_metadata["conversation_id"] == conversation
        other = model.invoke([HumanMessage(QUESTION), AIMessage("Maybe."), HumanMessage("So?")])
        assert other.response_metadata["conversation_id"] != conversation
        fresh = model.invoke(history, conversation_id="")
        assert fresh.response_metadata["conversation_id"] != conversation


def test_without_that_a_history_begins_a_conversation(chat: ChatDifyConversation) -> None:
    first = chat.invoke(QUESTION)
    again = chat.invoke([HumanMessage(QUESTION), first, HumanMessage("And then?")])
    conversation = again.response_metadata["conversation_id"]
    assert conversation != first.response_metadata["conversation_id"]
    (past,) = chat.messages(conversation)
    assert past.query.startswith(f"User: {QUESTION}\nAssistant: ")
    assert past.query.endswith("User: And then?\nAssistant:")


def test_a_stream_says_what_the_whole_answer_says(chat: ChatDifyConversation) -> None:
    first, *rest = chat.stream(QUESTION)
    total = first
    for chunk in rest:
        total = total + chunk
    whole = chat.invoke(QUESTION)
    assert total.content == whole.content
    assert documents(total) == documents(whole)
    assert total.response_metadata["conversation_id"]


@pytest.mark.parametrize("app", ["chat", "agent-chat", "advanced-chat"])
def test_every_kind_of_chat_app_answers(sandbox: Sandbox, app: str) -> None:
    fields = at(sandbox, switches={"app": app}, check_inputs=True)
    with ChatDifyConversation(**fields) as model:
        assert model.info().mode == app
        assert "45 days" in model.invoke(QUESTION).text


def test_another_kind_of_app_is_refused_with_the_class_to_use(sandbox: Sandbox) -> None:
    with ChatDifyConversation(**at(sandbox, switches={"app": "workflow"})) as model:
        with pytest.raises(errors.BadRequestError, match="DifyWorkflow"):
            model.invoke(QUESTION)
        with pytest.raises(errors.InvalidParameterError, match="use DifyWorkflow"):
            model.invoke(QUESTION, check_inputs=True)


def test_an_unknown_conversation_is_not_found(chat: ChatDifyConversation) -> None:
    unknown = "00000000-0000-4000-8000-000000000000"
    with pytest.raises(theirs.ModelNotFoundError, match="user="):
        chat.invoke(QUESTION, conversation_id=unknown)
    with pytest.raises(errors.NotFoundError):
        chat.messages(unknown)


def test_an_id_that_is_none_is_refused_as_langchain_s_own_error(
    chat: ChatDifyConversation,
) -> None:
    with pytest.raises(theirs.ModelInvalidRequestError):
        chat.invoke(QUESTION, conversation_id="x")
    with pytest.raises(errors.InvalidParameterError, match="conversation_id"):
        ChatDifyConversation(conversation_id="x", api_key=KEY)


@pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")
def test_a_conversation_model_is_loaded_as_it_was_dumped() -> None:
    conversation = "5e1f7a90-2c3b-4d64-b8a1-9f0e6d7c2b15"
    model = ChatDifyConversation(api_key=KEY, conversation_id=conversation, resume=True)
    again = load(
        dumpd(model),
        secrets_map={"DIFY_API_KEY": KEY},
        valid_namespaces=["langchain_qaip"],
        allowed_objects=[ChatDifyConversation],
    )
    assert (again.conversation_id, again.resume) == (conversation, True)


def test_a_citation_retriever_stands_on_it(chat: ChatDifyConversation) -> None:
    assert len(chat.as_retriever(k=2).invoke(BROAD)) == 2


def test_one_object_serves_many_users(chat: ChatDifyConversation) -> None:
    known = chat.invoke(QUESTION, user="keeper-2").response_metadata
    conversation, message = known["conversation_id"], known["message_id"]
    with pytest.raises(errors.NotFoundError):
        chat.messages(conversation)
    assert [m.query for m in chat.messages(conversation, user="keeper-2")] == [QUESTION]
    assert conversation in [c.id for c in chat.conversations(user="keeper-2")]
    assert chat.rename(conversation, "Returns", user="keeper-2").name == "Returns"
    chat.feedback(message, "like", user="keeper-2")


async def test_one_object_serves_many_users_without_blocking(sandbox: Sandbox) -> None:
    async with ChatDifyConversation(**at(sandbox)) as chat:
        known = (await chat.ainvoke(QUESTION, user="keeper-3")).response_metadata
        conversation, message = known["conversation_id"], known["message_id"]
        assert len(await chat.amessages(conversation, user="keeper-3")) == 1
        assert conversation in [c.id for c in await chat.aconversations(user="keeper-3")]
        assert (await chat.arename(conversation, "R", user="keeper-3")).name == "R"
        await chat.afeedback(message, "like", user="keeper-3")


# ---- ratings, info, parameters


@pytest.mark.parametrize("cls", [ChatDify, ChatDifyConversation])
def test_an_answer_is_rated(sandbox: Sandbox, cls: Any) -> None:
    with cls(**at(sandbox)) as model:
        message = model.invoke(QUESTION).response_metadata["message_id"]
        model.feedback(message, "like", "Right.")
        model.feedback(message, None)
        with pytest.raises(errors.BadRequestError, match="rating"):
            model.feedback(message, None)


async def test_an_answer_is_rated_without_blocking(sandbox: Sandbox) -> None:
    async with DifyLLM(**at(sandbox)) as model:
        with pytest.raises(errors.NotFoundError):
            await model.afeedback("00000000-0000-4000-8000-000000000000", "dislike")
        assert (await model.ainfo()).name == "Sandbox"
        assert [v.name for v in (await model.aparameters()).form] == ["query"]


@pytest.mark.parametrize("cls", [ChatDify, DifyLLM])
def test_variables_are_checked_if_that_is_wanted(sandbox: Sandbox, cls: Any) -> None:
    form = [{"variable": "query", "max_length": 50}, {"variable": "tone", "required": True}]
    with cls(**at(sandbox, switches={"form": form}, check_inputs=True)) as model:
        with pytest.raises(errors.InvalidParameterError, match="tone: is required"):
            model.invoke(QUESTION)
        assert model.invoke(QUESTION, variables={"tone": "dry"})
        with pytest.raises(errors.InvalidParameterError, match="query: at most 50"):
            model.invoke("x" * 51, variables={"tone": "dry"})


# ---- files


@pytest.mark.parametrize("cls", [ChatDify, ChatDifyConversation])
def test_images_and_documents_are_uploaded_first(sandbox: Sandbox, cls: Any) -> None:
    pdf = {
        "type": "file",
        "base64": base64.b64encode(b"%PDF-1.7 \xff").decode(),
        "mime_type": "application/pdf",
        "filename": "plan.pdf",
    }
    text = {"type": "text", "text": QUESTION}
    with cls(**at(sandbox, switches={"vision": True})) as model:
        answer = model.invoke([HumanMessage([text, PNG, pdf])])
    assert "45 days" in answer.text


@pytest.mark.parametrize("cls", [ChatDify, ChatDifyConversation])
async def test_they_are_uploaded_in_streams_too(server: FaultServer, cls: Any) -> None:
    name = "stream_1_9" if cls is ChatDify else "chat_stream"
    replies = json_reply({"id": "f1", "name": "image.png"}, 201), CASES[name].reply()
    link = {"type": "image", "url": "https://x.example/a.png"}
    async with cls(**over(server)) as model:
        for streams in (False, True):
            server.reset()
            server.replies(*replies)
            prompt = [HumanMessage([{"type": "text", "text": "Look."}, PNG, link])]
            if streams:
                assert [c async for c in model.astream(prompt)]
            else:
                assert list(model.stream(prompt))
            upload, call = server.requests
            assert upload.path == "/files/upload"
            assert call.json()["files"] == [
                {"type": "image", "transfer_method": "local_file", "upload_file_id": "f1"},
                {"type": "image", "transfer_method": "remote_url", "url": link["url"]},
            ]


def test_a_file_may_be_uploaded_before(sandbox: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("# A")
    with ChatDifyConversation(**at(sandbox, switches={"vision": True}, user="keeper")) as model:
        file = model.upload(tmp_path / "a.md")
        assert (file.type, file.transfer_method) == ("document", "local_file")
        assert model.invoke(QUESTION, files=[file]).text
        with pytest.raises(errors.InvalidParameterError, match="name"):
            model.upload(b"x")
        with pytest.raises(FileNotFoundError):
            model.upload(tmp_path / "none.md")


def test_a_workflow_takes_files_up_to_a_limit_of_its_own(server: FaultServer) -> None:
    with (
        DifyWorkflow(**over(server, max_file_mb=0.5)) as workflow,
        pytest.raises(errors.InvalidParameterError, match=r"up to 0\.5 MB"),
    ):
        workflow.upload(b"x" * (1 << 20), name="plan.md")
    assert not server.requests


async def test_a_file_is_uploaded_without_blocking(sandbox: Sandbox) -> None:
    async with ChatDify(**at(sandbox)) as model:
        assert (await model.aupload(b"x", name="a.mp3")).type == "audio"


# ---- knowledge bases


def test_a_knowledge_base_is_searched(sandbox: Sandbox, dataset: str) -> None:
    key = "DIFY_DATASET_API_KEY"
    with DifyDatasetRetriever(**at(sandbox, key, dataset_id=dataset, k=2)) as retriever:
        found = retriever.invoke(BROAD)
        assert len(found) == 2
        assert "lamp" in found[0].page_content
        assert found[0].id
        assert found[0].metadata["title"] == "lamps.txt"
        assert found[0].metadata["score"] >= found[1].metadata["score"]
        assert len(retriever.invoke(BROAD, k=3)) == 3
        assert retriever.invoke(BROAD, score_threshold=1.0) == []
        (only,) = {
            d.metadata["title"]
            for d in retriever.invoke(
                BROAD,
                metadata_filtering_conditions={
                    "conditions": [
                        {
                            "name": "document_name",
                            "comparison_operator": "is",
                            "value": found[0].metadata["title"],
                        }
                    ]
                },
            )
        }
        assert only == found[0].metadata["title"]


async def test_it_is_searched_without_blocking(sandbox: Sandbox, dataset: str) -> None:
    fields = at(sandbox, "DIFY_DATASET_API_KEY", dataset_id=dataset)
    async with DifyDatasetRetriever(**fields) as retriever:
        assert len(await retriever.ainvoke(BROAD)) == 4  # the knowledge base's own number


def test_questions_come_with_their_answers(sandbox: Sandbox, dataset: str) -> None:
    fields = at(sandbox, "DIFY_DATASET_API_KEY", switches={"knowledge": "qa"}, dataset_id=dataset)
    with DifyDatasetRetriever(**fields) as retriever:
        assert all("\n" in d.page_content for d in retriever.invoke(QUESTION))


@pytest.mark.parametrize(
    ("state", "kind"),
    [("limited", theirs.ModelRateLimitError), ("disabled", theirs.ModelPermissionDeniedError)],
)
def test_a_knowledge_base_that_refuses(
    sandbox: Sandbox, dataset: str, state: str, kind: type[Exception]
) -> None:
    fields = at(sandbox, "DIFY_DATASET_API_KEY", switches={"dataset": state}, dataset_id=dataset)
    with (
        DifyDatasetRetriever(**fields, max_retries=0) as retriever,
        pytest.raises(kind),
    ):
        retriever.invoke(QUESTION)


def test_it_reads_a_key_of_its_own(
    sandbox: Sandbox, dataset: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DIFY_API_KEY", "app-wrong")
    monkeypatch.setenv("DIFY_DATASET_API_KEY", sandbox.env["DIFY_DATASET_API_KEY"])
    monkeypatch.setenv("DIFY_BASE_URL", sandbox.env["DIFY_BASE_URL"])
    with DifyDatasetRetriever(dataset_id=dataset) as retriever:
        assert retriever.invoke(QUESTION)
    monkeypatch.delenv("DIFY_DATASET_API_KEY")
    with pytest.raises(errors.MissingKeyError, match="DIFY_DATASET_API_KEY"):
        DifyDatasetRetriever(dataset_id=dataset)


def test_what_is_missing_or_too_long_is_refused_here(server: FaultServer) -> None:
    with DifyDatasetRetriever(**over(server)) as retriever:
        with pytest.raises(theirs.ModelInvalidRequestError, match="dataset_id"):
            retriever.invoke("q")
        with pytest.raises(errors.InvalidParameterError, match="long_query"):
            retriever.invoke("q" * 251, dataset_id="d")
    assert not server.requests


# ---- workflows


@pytest.fixture
def workflow(sandbox: Sandbox) -> Iterator[DifyWorkflow]:
    with DifyWorkflow(**at(sandbox, switches={"app": "workflow"})) as made:
        yield made


def texts(workflow: DifyWorkflow) -> DifyWorkflow:
    return workflow.model_copy(update={"output_key": "text"})


INPUTS = {"query": QUESTION}


def test_a_workflow_takes_variables_and_gives_outputs(workflow: DifyWorkflow) -> None:
    outputs = workflow.invoke(INPUTS)
    assert "45 days" in outputs["text"]
    assert outputs["sources"]
    assert workflow.invoke(INPUTS, response_mode="blocking") == outputs
    assert list(workflow.stream(INPUTS)) == [outputs]
    assert workflow.batch([INPUTS, INPUTS]) == [outputs, outputs]


def test_one_output_comes_as_it_is_written(workflow: DifyWorkflow) -> None:
    pieces = list(texts(workflow).stream(INPUTS))
    assert len(pieces) > 3
    assert "".join(pieces) == texts(workflow).invoke(INPUTS)


async def test_it_runs_without_blocking(sandbox: Sandbox) -> None:
    async with DifyWorkflow(**at(sandbox, output_key="text")) as workflow:
        whole = await workflow.ainvoke(INPUTS)
        assert "".join([piece async for piece in workflow.astream(INPUTS)]) == whole
        names = [event.name async for event in workflow.aevents(INPUTS)]
        assert (names[0], names[-1]) == ("workflow_started", "workflow_finished")


def test_it_stands_in_a_chain(workflow: DifyWorkflow) -> None:
    chain = (lambda question: {"query": question}) | texts(workflow) | str.upper
    assert "45 DAYS" in chain.invoke(QUESTION)


def test_events_tell_of_nodes_and_text(workflow: DifyWorkflow) -> None:
    events = list(workflow.events(INPUTS))
    titles = [e.data["title"] for e in events if e.name == "node_finished"]
    assert titles == ["Start", "Knowledge Retrieval", "LLM", "End"]
    assert "".join(e.text for e in events) == workflow.invoke(INPUTS)["text"]
    assert {e.workflow_run_id for e in events} == {events[0].workflow_run_id}


def test_variables_of_the_object_are_overlaid_by_those_of_a_run(server: FaultServer) -> None:
    ended = {"event": "workflow_finished", "data": {"status": "succeeded", "outputs": {}}}
    server.replies(sse_reply(json.dumps(ended)))
    with DifyWorkflow(**over(server, inputs={"tone": "dry", "query": "a"})) as workflow:
        workflow.invoke({"query": "b"}, variables={"tone": "kind"}, user="keeper")
    body = server.requests[0].json()
    assert (body["inputs"], body["user"]) == ({"tone": "kind", "query": "b"}, "keeper")


@pytest.mark.parametrize("way", ["invoke", "stream", "events"])
def test_a_run_that_fails_is_langchain_s_error_too(sandbox: Sandbox, way: str) -> None:
    switches = {"failure": "unavailable", "failure_after": 3}
    with (
        DifyWorkflow(**at(sandbox, switches=switches)) as workflow,
        pytest.raises(theirs.ModelAPIError) as caught,
    ):
        list(getattr(workflow, way)(INPUTS))
    error = caught.value
    assert isinstance(error, errors.ServerReportedError)
    assert error.code == "workflow_failed"
    assert error.partial_text


def test_leaving_a_run_stops_it(server: FaultServer) -> None:
    piece = {"event": "text_chunk", "task_id": "t-1", "data": {"text": "Once "}}
    for way in ("stream", "events"):
        server.reset()
        hanging = sse_reply(json.dumps(piece), end="hang")
        server.replies(hanging, json_reply({"result": "success"}))
        with DifyWorkflow(**over(server, output_key="text")) as workflow:
            stream: Any = getattr(workflow, way)(INPUTS)
            next(stream)
            stream.close()
            assert server.wait_requests(2, 2), way
        assert server.requests[1].path == "/workflows/tasks/t-1/stop"


def test_callbacks_hear_of_a_run(workflow: DifyWorkflow) -> None:
    heard: list[str] = []

    class Hears(BaseCallbackHandler):
        def on_chain_start(self, *_: Any, **__: Any) -> None:
            heard.append("start")

        def on_chain_end(self, outputs: Any, **_: Any) -> None:
            heard.append(outputs["text"][:2])

    outputs = workflow.invoke(INPUTS, {"callbacks": [Hears()]})
    assert heard == ["start", outputs["text"][:2]]


def test_inputs_are_checked_if_that_is_wanted(sandbox: Sandbox) -> None:
    with DifyWorkflow(**at(sandbox, switches={"app": "workflow"}, check_inputs=True)) as workflow:
        assert workflow.invoke(INPUTS)
        with pytest.raises(errors.InvalidParameterError, match="query: is required; qeury: "):
            workflow.invoke({"qeury": "x"})
    with (
        DifyWorkflow(**at(sandbox, switches={"app": "chat"}, check_inputs=True)) as workflow,
        pytest.raises(errors.InvalidParameterError, match="ChatDifyConversation"),
    ):
        workflow.invoke(INPUTS)


def test_what_is_no_dict_or_no_output_is_refused(workflow: DifyWorkflow) -> None:
    with pytest.raises(errors.InvalidParameterError, match="dict, not str"):
        workflow.invoke(QUESTION)  # type: ignore[arg-type]  # the mistake that is tested
    wrong = workflow.model_copy(update={"output_key": "answer"})
    with pytest.raises(errors.InvalidParameterError, match=r"no 'answer'.*text, sources"):
        wrong.invoke(INPUTS)


def test_its_form_is_the_schema_of_a_tool(sandbox: Sandbox) -> None:
    form = [
        {"variable": "query", "required": True, "label": "What to look for", "max_length": 99},
        {"variable": "tone", "type": "select", "options": ["dry", "kind"]},
        {"variable": "count", "type": "number"},
        {"variable": "fixed", "required": True},
    ]
    fields = at(sandbox, switches={"form": form}, variables={"fixed": "x"})
    with DifyWorkflow(**fields) as workflow:
        schema = workflow.input_model().model_json_schema()
    assert schema["required"] == ["query"]
    assert list(schema["properties"]) == ["query", "tone", "count"]
    assert schema["properties"]["query"]["description"] == "What to look for"
    assert schema["properties"]["query"]["maxLength"] == 99
    assert schema["properties"]["tone"]["anyOf"][0]["enum"] == ["dry", "kind"]


@pytest.mark.filterwarnings("ignore:This API is in beta")
def test_a_tool_asks_the_app_for_its_form(sandbox: Sandbox) -> None:
    with DifyWorkflow(**at(sandbox, output_key="text")) as workflow:
        tool = workflow.as_tool()
        assert (tool.name, list(tool.args)) == ("Sandbox", ["query"])
        assert "documents" in tool.description
        assert "45 days" in tool.invoke(INPUTS)
        named = workflow.as_tool(workflow.input_model(), name="look_up", description="Looks up.")
        assert (named.name, named.description) == ("look_up", "Looks up.")


def test_a_variable_may_be_called_like_a_model_s_field(sandbox: Sandbox) -> None:
    form = [{"variable": "model_name"}, {"variable": "model_config_id"}]
    with DifyWorkflow(**at(sandbox, switches={"form": form})) as workflow:
        schema = workflow.input_model().model_json_schema()
    assert list(schema["properties"]) == ["model_name", "model_config_id"]


def test_the_key_is_not_shown(server: FaultServer) -> None:
    workflow = DifyWorkflow(**over(server))
    retriever = DifyDatasetRetriever(**over(server, dataset_id="d"))
    assert KEY not in repr([workflow, retriever, workflow.model_dump(), retriever.model_dump()])
