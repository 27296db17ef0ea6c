"""What a Dify app tells of itself, the check of its variables, conversations and ratings."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from qaip_core import AsyncClient, Client, errors
from qaip_core.backend import Endpoint
from qaip_core.backends.dify import COMPLETION
from qaip_core.backends.dify.app import (
    FEEDBACK,
    INFO,
    PARAMETERS,
    DifyInfo,
    DifyParameters,
    Variable,
    check_form,
)
from qaip_core.backends.dify.chat import CHAT
from qaip_core.backends.dify.conversations import CONVERSATIONS, MESSAGES, RENAME, Page
from support.backends import settings
from support.fault_server import FaultServer, Recorded, Reply, json_reply
from support.wire import cases

CONVERSATION = "5e1f7a90-2c3b-4d64-b8a1-9f0e6d7c2b15"
ANSWERS = {
    CHAT.path: next(c for c in cases("dify") if c.name == "chat_stream").reply(),
    COMPLETION.path: next(c for c in cases("dify") if c.name == "stream_1_9").reply(),
}
FORM = [
    {"paragraph": {"label": "Query", "variable": "query", "required": True, "default": ""}},
    {"text-input": {"label": "Name", "variable": "name", "max_length": 8}},
    {"select": {"variable": "tone", "required": False, "options": ["formal", "casual"]}},
    {"number": {"variable": "count"}},
    {"checkbox": {"variable": "short"}},
    {"file": {"variable": "plan", "required": True}},
    {"file-list": {"variable": "plans"}},
    {"hologram": {"variable": "shape"}},
]


class App(FaultServer):
    """An app of some kind, with a form."""

    mode: str | None = "completion"
    form = FORM

    def answer(self, request: Recorded) -> Reply:
        super().answer(request)
        told: dict[str, Reply] = {
            "/info": json_reply({"name": "Lamps", **({"mode": self.mode} if self.mode else {})}),
            "/parameters": json_reply({"user_input_form": self.form}),
            **ANSWERS,
        }
        return told[request.path]


@pytest.fixture
def app() -> Iterator[App]:
    with App() as started:
        yield started


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as started:
        yield started


def fetched(server: FaultServer, operation: Any, reply: Any, **values: Any) -> Any:
    server.replies(reply if isinstance(reply, Reply) else json_reply(reply))
    with closing(Client(settings(operation, server.url))) as client:
        return client.fetch(operation, values)


def paths(server: FaultServer) -> list[str]:
    return [request.path for request in server.requests]


def test_an_app_tells_its_name_and_kind(server: FaultServer) -> None:
    body = {"name": "Lamps", "description": "d", "tags": ["x"], "mode": "chat", "author_name": "A"}
    assert fetched(server, INFO, body) == DifyInfo("Lamps", "d", "chat", "A", ("x",))
    assert fetched(server, INFO, {"name": "Old"}) == DifyInfo("Old")


def test_an_app_tells_its_form(server: FaultServer) -> None:
    body = {
        "user_input_form": FORM,
        "retriever_resource": {"enabled": True},
        "opening_statement": "Hello.",
        "suggested_questions": ["How high?"],
    }
    told = fetched(server, PARAMETERS, body)
    names = ["query", "name", "tone", "count", "short", "plan", "plans", "shape"]
    assert [v.name for v in told.form] == names
    assert told.form[0] == Variable("query", "paragraph", "Query", required=True, default="")
    assert told.form[1].max_length == 8
    assert told.form[2].options == ("formal", "casual")
    assert (told.cites, told.opening_statement) == (True, "Hello.")
    assert told.suggested_questions == ("How high?",)
    assert told.raw == body


def test_an_old_or_strange_form_is_read_as_far_as_it_goes(server: FaultServer) -> None:
    body = {
        "user_input_form": [None, {"number": None}, {"select": {"variable": "t", "options": 7}}]
    }
    assert fetched(server, PARAMETERS, body).form == (Variable("t", "select"),)
    assert fetched(server, PARAMETERS, {}) == DifyParameters()


def test_inputs_are_checked_before_the_call_and_the_app_is_asked_once(app: App) -> None:
    values = {"check_inputs": True, "variables": {"tone": "formal", "count": "3"}}
    with closing(Client(settings(COMPLETION, app.url))) as client:
        client.complete(COMPLETION, "q", values)
        client.complete(COMPLETION, "q", values)
        with pytest.raises(errors.InvalidParameterError) as caught:
            client.complete(COMPLETION, "q", {**values, "variables": {"tone": "angry"}})
    assert paths(app)[:-1] == ["/info", "/parameters", *["/completion-messages"] * 2]
    assert paths(app)[-1] == "/parameters"  # it could have changed
    assert "tone: one of formal, casual is wanted" in str(caught.value)


def test_a_form_that_has_changed_is_asked_for_again(app: App) -> None:
    before = app.form
    with closing(Client(settings(COMPLETION, app.url))) as client:
        app.form = [entry for entry in before if "select" not in entry]
        client.complete(COMPLETION, "q", {"check_inputs": True})
        app.form = before
        client.complete(COMPLETION, "q", {"check_inputs": True, "variables": {"tone": "formal"}})
    assert paths(app).count("/parameters") == 2
    assert paths(app).count("/completion-messages") == 2


async def test_async_calls_are_checked_too(app: App) -> None:
    client = AsyncClient(settings(COMPLETION, app.url))
    with pytest.raises(errors.InvalidParameterError, match="name: at most 8 characters"):
        await client.complete(
            COMPLETION, "q", {"check_inputs": True, "variables": {"name": "Alexandria"}}
        )
    assert paths(app) == ["/info", "/parameters"]
    await client.close()


def test_nothing_is_checked_unless_it_is_wanted(app: App) -> None:
    with closing(Client(settings(COMPLETION, app.url))) as client:
        client.complete(COMPLETION, "q", {"variables": {"tone": "angry"}})
    assert paths(app) == ["/completion-messages"]


@pytest.mark.parametrize(
    ("endpoint", "mode", "use"),
    [
        (COMPLETION, "chat", "not a completion app.*ChatDifyConversation"),
        (COMPLETION, "workflow", "not a completion app.*DifyWorkflow"),
        (CHAT, "completion", "not a chat app.*ChatDify or DifyLLM"),
        (CHAT, "hologram", "not a chat app.*another class"),
    ],
)
def test_an_app_of_another_kind_is_refused(
    app: App, endpoint: Endpoint, mode: str, use: str
) -> None:
    app.mode = mode
    with (
        closing(Client(settings(endpoint, app.url))) as client,
        pytest.raises(errors.InvalidParameterError, match=use),
    ):
        client.complete(endpoint, "q", {"check_inputs": True})
    assert paths(app) == ["/info"]


def test_an_old_server_does_not_tell_its_kind(app: App) -> None:
    app.mode = None
    with closing(Client(settings(COMPLETION, app.url))) as client:
        client.complete(COMPLETION, "q", {"check_inputs": True})
    assert "/completion-messages" in paths(app)


@pytest.mark.parametrize("mode", ["chat", "agent-chat", "advanced-chat"])
def test_a_conversation_that_goes_on_keeps_its_inputs(app: App, mode: str) -> None:
    app.mode = mode
    with closing(Client(settings(CHAT, app.url))) as client:
        values = {"check_inputs": True, "conversation_id": CONVERSATION}
        client.complete(CHAT, "q", values)
        assert paths(app) == ["/info", "/chat-messages"]
        with pytest.raises(errors.InvalidParameterError, match="query: is required"):
            client.complete(CHAT, "q", {"check_inputs": True})


OF_FORM = DifyParameters(
    form=(
        Variable("text", "text-input", required=True, max_length=5),
        Variable("tone", "select", options=("formal", "casual")),
        Variable("count", "number"),
        Variable("short", "checkbox"),
        Variable("plan", "file"),
        Variable("plans", "file-list"),
        Variable("shape", "hologram"),
    )
)


@pytest.mark.parametrize(
    "inputs",
    [
        {"text": ""},
        {"text": "abcde", "tone": "formal", "count": 3.5, "short": True, "shape": object()},
        {"text": "a", "count": "-3.5", "short": "yes", "plan": {"type": "image"}, "plans": []},
        {"text": "a", "count": "", "tone": None, "plans": [{"type": "image"}]},
        {"text": "a", "count": True},
    ],
)
def test_what_the_service_takes_passes(inputs: dict[str, Any]) -> None:
    check_form(OF_FORM, inputs=inputs)


@pytest.mark.parametrize(
    ("inputs", "fault"),
    [
        ({}, "text: is required"),
        ({"text": None}, "text: is required"),
        ({"text": 3}, "text: a text is wanted, not int"),
        ({"text": "abcdef"}, "text: at most 5 characters, and it has 6"),
        ({"text": "a", "tone": ""}, "tone: one of formal, casual"),
        ({"text": "a", "count": "1e3"}, "count: a number"),
        ({"text": "a", "count": "nan"}, "count: a number"),
        ({"text": "a", "count": []}, "count: a number"),
        ({"text": "a", "short": "perhaps"}, "short: True or False"),
        ({"text": "a", "short": 1}, "short: True or False"),
        ({"text": "a", "plan": "x"}, "plan: a file"),
        ({"text": "a", "plans": {"type": "image"}}, "plans: a list of files"),
        ({"text": "a", "plans": ["x"]}, "plans: a list of files"),
        (
            {"text": "a", "txet": "x"},
            r"txet: the app has no such variable \(it has: text, tone, count, short, plan, "
            r"plans, shape\)",
        ),
        ({"tone": "x", "count": "x"}, "text: is required; tone: .*; count: "),
    ],
)
def test_what_the_service_refuses_or_drops_is_told(inputs: dict[str, Any], fault: str) -> None:
    with pytest.raises(errors.InvalidParameterError, match=fault):
        check_form(OF_FORM, inputs=inputs)


@pytest.mark.parametrize(
    ("rating", "sent"), [("like", "like"), ("dislike", "dislike"), ("none", None)]
)
def test_an_answer_is_rated(server: FaultServer, rating: str, sent: str | None) -> None:
    values = {"message_id": "m/1", "rating": rating, "content": "Clear.", "user": "keeper"}
    assert fetched(server, FEEDBACK, {"result": "success"}, **values) is None
    (request,) = server.requests
    assert (request.method, request.path) == ("POST", "/messages/m%2F1/feedbacks")
    assert request.json() == {"rating": sent, "content": "Clear.", "user": "keeper"}


def test_a_rating_is_one_of_two(server: FaultServer) -> None:
    with pytest.raises(errors.InvalidParameterError, match="like"):
        fetched(server, FEEDBACK, {}, message_id="m", rating="love")
    assert not server.requests


LISTED = {"id": CONVERSATION, "name": "Lamps", "inputs": {"tone": "dry"}, "created_at": 1760800000}


def test_conversations_are_listed(server: FaultServer) -> None:
    body = {"limit": 1, "has_more": True, "data": [{**LISTED, "updated_at": 1760800001, "x": 1}]}
    page = fetched(server, CONVERSATIONS, body, limit=1, last_id="c0", sort_by="-created_at")
    assert server.requests[0].path == (
        "/conversations?user=default-user&last_id=c0&limit=1&sort_by=-created_at"
    )
    assert (len(page), page.has_more, page[0].metadata) == (1, True, {"x": 1})
    (conversation,) = page
    assert (conversation.id, conversation.name) == (CONVERSATION, "Lamps")
    assert (conversation.created, conversation.updated) == (1760800000, 1760800001)


def test_messages_are_listed_with_their_sources(server: FaultServer) -> None:
    source = {"position": 1, "segment_id": "s1", "document_name": "lamps.md", "content": "Once."}
    message = {
        "id": "m1",
        "conversation_id": CONVERSATION,
        "query": "How often?",
        "answer": "Once.",
        "feedback": {"rating": "like"},
        "retriever_resources": [source, None],
        "created_at": 1760800000,
        "agent_thoughts": [],
        "status": "normal",
    }
    page = fetched(server, MESSAGES, {"data": [message]}, conversation_id=CONVERSATION, user="u")
    assert server.requests[0].path == f"/messages?conversation_id={CONVERSATION}&user=u"
    (past,) = page
    assert (past.query, past.answer, past.rating) == ("How often?", "Once.", "like")
    assert [c.title for c in past.citations] == ["lamps.md"]
    assert past.metadata == {"status": "normal"}


@pytest.mark.parametrize("limit", [0, 101])
def test_a_page_has_1_to_100_entries(server: FaultServer, limit: int) -> None:
    with pytest.raises(errors.InvalidParameterError, match="limit"):
        fetched(server, CONVERSATIONS, {"data": []}, limit=limit)


def test_a_conversation_is_renamed(server: FaultServer) -> None:
    named = fetched(server, RENAME, LISTED, conversation_id=CONVERSATION, name="Lamps", user="u")
    (request,) = server.requests
    assert request.path == f"/conversations/{CONVERSATION}/name"
    assert request.json() == {"name": "Lamps", "user": "u"}
    assert named.name == "Lamps"


@pytest.mark.parametrize("operation", [CONVERSATIONS, MESSAGES, RENAME], ids=lambda o: o.path)
@pytest.mark.parametrize("body", [[], {"data": 7}, {"data": [{}]}, {}])
def test_a_list_of_another_shape_is_malformed(
    server: FaultServer, operation: Any, body: Any
) -> None:
    with pytest.raises(errors.MalformedResponseError):
        fetched(server, operation, body, **dict.fromkeys(operation.required, CONVERSATION))


def test_an_empty_page_is_empty() -> None:
    assert list(Page[Any]()) == []
