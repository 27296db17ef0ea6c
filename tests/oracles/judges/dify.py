"""The dify-client package, which hands over raw answers of `requests`."""

import io
import json
import os
from typing import Any

from ._judge import ANSWER, QUESTION, Judge, Said

__all__ = ["judge"]

judge = Judge()
_ALL = ("0.15", "1.8", "1.9", "1.16", "cloud")
_INPUTS = {"query": QUESTION}
_USER = "someone"


def _pointed(client: Any) -> Any:
    # The address is in the code; its users set the attribute.
    client.base_url = os.environ["DIFY_BASE_URL"]
    return client


def _completion(key: str = "") -> Any:
    from dify_client import CompletionClient

    return _pointed(CompletionClient(key or os.environ["DIFY_API_KEY"]))


def _chat() -> Any:
    from dify_client import ChatClient

    return _pointed(ChatClient(os.environ["DIFY_API_KEY"]))


def _body(response: Any) -> Any:
    if response.status_code >= 400:
        raise RuntimeError(f"{response.status_code} {response.text}")
    return response.json()


def _said(body: Any) -> Said:
    metadata = body["metadata"]
    sources = [found["document_name"] for found in metadata["retriever_resources"]]
    return Said([body["answer"]], sources, metadata["usage"]["total_tokens"])


def _events(response: Any) -> list[Any]:
    assert response.headers["content-type"].startswith("text/event-stream"), response.text
    lines = [line.decode() for line in response.iter_lines() if line.startswith(b"data:")]
    return [json.loads(line.removeprefix("data:")) for line in lines]


def _joined(events: list[Any]) -> Said:
    assert events[-1]["event"] == "message_end"
    end = _said({"answer": "", **events[-1]})
    return Said([e["answer"] for e in events if e["event"] == "message"], end.sources, end.tokens)


@judge.call("dify", *_ALL, cites=True, counts=True)
def completion_blocking() -> Said:
    return _said(_body(_completion().create_completion_message(_INPUTS, "blocking", _USER)))


@judge.call("dify", *_ALL, cites=True, counts=True)
@judge.call("dify", "1.9", cites=True, crlf=True, unknown_event=True)
@judge.call("dify", "1.9", cites=True, separators=True, batch=3)
def completion_streamed() -> Said:
    return _joined(_events(_completion().create_completion_message(_INPUTS, "streaming", _USER)))


@judge.call("dify", *_ALL, cites=True)
@judge.call("dify", "1.9", cites=True, separators=True)
def completion_streamed_as_in_the_readme() -> Said:
    """The loop of the package's own page: split off the prefix, parse the rest."""
    response = _completion().create_completion_message(_INPUTS, "streaming", _USER)
    response.raise_for_status()
    pieces: list[str] = []
    sources: list[str] = []
    for line in response.iter_lines(decode_unicode=True):
        data = line.split("data:", 1)[-1].strip()
        if data:
            event = json.loads(data)
            pieces.append(event.get("answer") or "")
            resources = event.get("metadata", {}).get("retriever_resources", [])
            sources += [found["document_name"] for found in resources]
    return Said(pieces, sources)


@judge.call("dify", "1.9", cites=True, fault="pings; every=0.01; seconds=0.05")
def completion_with_pings_streamed() -> Said:
    return _joined(_events(_completion().create_completion_message(_INPUTS, "streaming", _USER)))


@judge.call("dify", "1.9", cites=True, fault="pings; every=0.01; seconds=0.05")
def completion_with_pings_streamed_as_in_the_readme() -> Said:
    return completion_streamed_as_in_the_readme()


@judge.call("dify", *_ALL, says="query")
def parameters() -> Said:
    body = _body(_completion().get_application_parameters(_USER))
    forms = [form for field in body["user_input_form"] for form in field.values()]
    return Said([form["variable"] for form in forms])


@judge.call("dify", *_ALL, says="Sandbox")
def info() -> Said:
    """The package has no call for it; its users send it through its own method."""
    return Said([_body(_completion()._send_request("GET", "/info"))["name"]])


@judge.call("dify", *_ALL, says="success")
def feedback() -> Said:
    client = _completion()
    body = _body(client.create_completion_message(_INPUTS, "blocking", _USER))
    return Said([_body(client.message_feedback(body["message_id"], "like", _USER))["result"]])


@judge.call("dify", *_ALL, says="success")
def stop() -> Said:
    client = _completion()
    response = client.create_completion_message(_INPUTS, "streaming", _USER)
    task = next(event["task_id"] for event in _events(response))
    path = f"/completion-messages/{task}/stop"
    return Said([_body(client._send_request("POST", path, {"user": _USER}))["result"]])


@judge.call("dify", *_ALL, says="chart.png")
def file_upload() -> Said:
    picture = io.BytesIO(b"\x89PNG\r\n\x1a\n" + bytes(32))
    response = _completion().file_upload(_USER, {"file": ("chart.png", picture, "image/png")})
    return Said([_body(response)["name"]])


@judge.call("dify", *_ALL, cites=True)
def retrieve() -> Said:
    """The package has no call for it; its users send it through its own method."""
    client = _completion(os.environ["DIFY_DATASET_API_KEY"])
    cited = _said(_body(_completion().create_completion_message(_INPUTS, "blocking", _USER)))
    assert cited.sources
    body = _body(_completion().create_completion_message(_INPUTS, "blocking", _USER))
    dataset = body["metadata"]["retriever_resources"][0]["dataset_id"]
    found = _body(
        client._send_request("POST", f"/datasets/{dataset}/retrieve", {"query": QUESTION})
    )
    segments = [record["segment"] for record in found["records"]]
    return Said([s["content"] for s in segments], [s["document"]["name"] for s in segments])


@judge.call("dify", *_ALL, cites=True)
def retrieve_as_it_is_set() -> Said:
    client = _completion(os.environ["DIFY_DATASET_API_KEY"])
    body = _body(_completion().create_completion_message(_INPUTS, "blocking", _USER))
    dataset = body["metadata"]["retriever_resources"][0]["dataset_id"]
    how = {
        "search_method": "semantic_search", "top_k": 1, "reranking_enable": False,
        "score_threshold_enabled": True, "score_threshold": 0.01,
    }  # fmt: skip
    asked = {"query": QUESTION, "retrieval_model": how}
    (record,) = _body(client._send_request("POST", f"/datasets/{dataset}/retrieve", asked))[
        "records"
    ]
    assert record["score"] >= 0.01
    return Said([record["segment"]["content"]], [record["segment"]["document"]["name"]])


@judge.call("dify", "1.9", raises="RuntimeError", says="401")
def retrieve_with_the_key_of_an_app() -> Said:
    path = "/datasets/00000000-0000-4000-8000-000000000000/retrieve"
    return Said([str(_body(_completion()._send_request("POST", path, {"query": QUESTION})))])


@judge.call("dify", *_ALL, cites=True)
def chat_blocking() -> Said:
    response = _chat().create_chat_message({}, QUESTION, _USER)
    body = _body(response)
    assert body["conversation_id"]
    return _said(body)


@judge.call("dify", *_ALL, cites=True)
def chat_streamed() -> Said:
    events = _events(_chat().create_chat_message({}, QUESTION, _USER, "streaming"))
    assert {event.get("conversation_id") for event in events} != {None}
    return _joined(events)


@judge.call("dify", *_ALL, says="success")
def chat_stop() -> Said:
    client = _chat()
    events = _events(client.create_chat_message({}, QUESTION, _USER, "streaming"))
    path = f"/chat-messages/{events[0]['task_id']}/stop"
    return Said([_body(client._send_request("POST", path, {"user": _USER}))["result"]])


@judge.call("dify", *_ALL, says="success")
def chat_feedback() -> Said:
    client = _chat()
    body = _body(client.create_chat_message({}, QUESTION, _USER))
    return Said([_body(client.message_feedback(body["message_id"], "dislike", _USER))["result"]])


@judge.call("dify", "1.9", cites=True)
def chat_about_a_file() -> Said:
    client = _chat()
    picture = io.BytesIO(b"\x89PNG\r\n\x1a\n" + bytes(32))
    uploaded = _body(client.file_upload(_USER, {"file": ("chart.png", picture, "image/png")}))
    held = {"type": "image", "transfer_method": "local_file", "upload_file_id": uploaded["id"]}
    return _said(_body(client.create_chat_message({}, QUESTION, _USER, files=[held])))


@judge.call("dify", "1.9", cites=True, app="agent-chat")
def chat_of_an_agent_streamed() -> Said:
    events = _events(_chat().create_chat_message({}, QUESTION, _USER, "streaming"))
    end = _said({"answer": "", **events[-1]})
    said = [e["answer"] for e in events if e["event"] == "agent_message"]
    return Said(said, end.sources, end.tokens)


@judge.call("dify", "1.9", cites=True, app="advanced-chat")
def chat_of_a_flow_streamed() -> Said:
    return _joined(_events(_chat().create_chat_message({}, QUESTION, _USER, "streaming")))


@judge.call("dify", "1.9", raises="RuntimeError", says="404")
def chat_in_an_unknown_conversation() -> Said:
    unknown = "00000000-0000-4000-8000-000000000000"
    answer = _chat().create_chat_message({}, QUESTION, _USER, conversation_id=unknown)
    return _said(_body(answer))


@judge.call("dify", "1.9", says=ANSWER)
def chat_messages() -> Said:
    client = _chat()
    body = _body(client.create_chat_message({}, QUESTION, _USER))
    messages = _body(client.get_conversation_messages(_USER, body["conversation_id"]))
    return Said([message["answer"] for message in messages["data"]])


@judge.call("dify", "1.9", says="Lamps")
def chat_renamed() -> Said:
    client = _chat()
    found = _body(client.create_chat_message({}, QUESTION, _USER))["conversation_id"]
    _body(client.rename_conversation(found, "Lamps", _USER))
    listed = _body(client.get_conversations(_USER, limit=5))["data"]
    return Said([conversation["name"] for conversation in listed if conversation["id"] == found])


@judge.call("dify", "1.9")
def chat_continued() -> Said:
    client = _chat()
    first = _body(client.create_chat_message({}, "What does the ferry cost?", _USER))
    found = first["conversation_id"]
    again = _body(client.create_chat_message({}, QUESTION, _USER, conversation_id=found))
    assert again["conversation_id"] == found
    return _said(again)


_RUN = {"inputs": _INPUTS, "user": _USER}


@judge.call("dify", *_ALL, says=ANSWER)
def workflow_blocking() -> Said:
    """The package has no call for it; its users send it through its own method."""
    body = {**_RUN, "response_mode": "blocking"}
    data = _body(_completion()._send_request("POST", "/workflows/run", body))["data"]
    return Said([data["outputs"]["text"]])


@judge.call("dify", *_ALL, says=ANSWER)
@judge.call("dify", "1.9", says=ANSWER, crlf=True, unknown_event=True)
def workflow_streamed() -> Said:
    """As above; the events are read as those of an answer are."""
    body = {**_RUN, "response_mode": "streaming"}
    response = _completion()._send_request("POST", "/workflows/run", body, stream=True)
    events = _events(response)
    assert events[-1]["data"]["status"] == "succeeded"
    return Said([e["data"]["text"] for e in events if e["event"] == "text_chunk"])


@judge.call("dify", *_ALL, says="success")
def workflow_stop() -> Said:
    """As above."""
    path = "/workflows/tasks/00000000-0000-4000-8000-000000000000/stop"
    return Said([_body(_completion()._send_request("POST", path, {"user": _USER}))["result"]])


@judge.call("dify", *_ALL, raises="RuntimeError", says="401")
def wrong_key() -> Said:
    return _said(_body(_completion("wrong").create_completion_message(_INPUTS, "blocking", _USER)))


@judge.call("dify", *_ALL, raises="RuntimeError", says="query is required in input form")
def missing_input() -> Said:
    return _said(_body(_completion().create_completion_message({}, "blocking", _USER)))


@judge.call("dify", *_ALL, raises="RuntimeError", says="Arg user must be provided")
def missing_user() -> Said:
    return _said(_body(_completion().create_completion_message(_INPUTS, "blocking", "")))


@judge.call("dify", "1.9", raises="RuntimeError", says="404")
def unknown_message() -> Said:
    unknown = "00000000-0000-4000-8000-000000000000"
    return Said([str(_body(_completion().message_feedback(unknown, "like", _USER)))])


@judge.call("dify", "1.9", raises="RuntimeError", says="429", fault="status; code=429; times=99")
def too_many_requests() -> Said:
    return _said(_body(_completion().create_completion_message(_INPUTS, "blocking", _USER)))
