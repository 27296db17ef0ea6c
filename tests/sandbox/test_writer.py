"""Answers that a model words: what it is given, and what becomes of its markers."""

import json
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import pytest

from qaip_sandbox import Sandbox, Writer

Said = Callable[[dict[str, Any]], tuple[int, bytes]]
QUESTION = "How many watts does the reading lamp draw?"


class Model:
    """An OpenAI-compatible server that says what the test tells it to."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.reply: tuple[int, bytes] = (200, b"")
        model = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                model.asked.append({"path": self.path, **json.loads(body)})
                model.keys.append(self.headers["authorization"])
                status, answer = model.reply
                self.send_response(status)
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: Any) -> None:
                """Keep the terminal clean."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"

    def says(self, text: str) -> None:
        choice = {"message": {"role": "assistant", "content": text}}
        self.reply = (200, json.dumps({"choices": [choice]}).encode())


@pytest.fixture
def model() -> Iterator[Model]:
    model = Model()
    thread = Thread(target=model.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield model
    model.server.shutdown()
    model.server.server_close()
    thread.join()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "lamp.md").write_text("# Lamp\n\nThe reading lamp draws nine watts.\n")
    (tmp_path / "kettle.md").write_text("# Kettle\n\nThe kettle boils in two minutes.\n")
    return tmp_path


@pytest.fixture
def sandbox(folder: Path, model: Model) -> Iterator[Sandbox]:
    with Sandbox(folder, writer=Writer(model.url, "small", api_key="of the model")) as running:
        yield running


def ask(sandbox: Sandbox, question: str = QUESTION) -> httpx.Response:
    return httpx.post(
        sandbox.env["PERPLEXITY_BASE_URL"] + "/chat/completions",
        json={"model": "sonar", "messages": [{"role": "user", "content": question}]},
        headers={"Authorization": f"Bearer {sandbox.env['PERPLEXITY_API_KEY']}"},
        verify=False,
    )


def text(response: httpx.Response) -> str:
    return str(response.json()["choices"][0]["message"]["content"])


def test_the_model_gets_the_passages_numbered_and_the_question(
    sandbox: Sandbox, model: Model
) -> None:
    model.says("It draws nine watts.[1]")
    answer = ask(sandbox)
    assert text(answer) == "It draws nine watts.[1]"
    (asked,) = model.asked
    assert (asked["path"], asked["model"]) == ("/v1/chat/completions", "small")
    assert model.keys == ["Bearer of the model"]
    prompt = asked["messages"][-1]["content"]
    assert "[1] Lamp\nThe reading lamp draws nine watts." in prompt
    assert prompt.endswith(QUESTION)
    assert answer.json()["search_results"][0]["title"] == "Lamp"


MARKERS = {
    "one of no source": ("It draws nine watts.[7]", "It draws nine watts."),
    "one of a source that says something else": (
        "The lamp was made in Norway by hand in 1950.[1]",
        "The lamp was made in Norway by hand in 1950.",
    ),
    "two in one pair of brackets": ("It draws nine watts.[1, 8]", "It draws nine watts.[1]"),
    "wide brackets": ("It draws nine watts.【1】", "It draws nine watts.[1]"),
    "before the full stop": ("It draws nine watts [1].", "It draws nine watts [1]."),
    "an index in code": ("It draws `watts[9]` watts.[9]", "It draws `watts[9]` watts."),
    "no marker": ("I do not know.", "I do not know."),
    "one on a line of its own": ("It draws nine watts.\n\n[1]", "It draws nine watts.\n\n[1]"),
    "a thought before": (
        "<think>nine? [3]</think>\n\nIt draws nine watts.[1]",
        "It draws nine watts.[1]",
    ),
}


@pytest.mark.parametrize(("said", "kept"), MARKERS.values(), ids=MARKERS)
def test_a_marker_must_name_a_source_that_says_so(
    sandbox: Sandbox, model: Model, said: str, kept: str
) -> None:
    model.says(said)
    assert text(ask(sandbox)) == kept


def test_a_question_that_no_document_answers_never_reaches_the_model(
    sandbox: Sandbox, model: Model
) -> None:
    assert "could not find" in text(ask(sandbox, "Who won the regatta of Zanzibar?"))
    assert model.asked == []


FAILURES = {
    "a refusal": (500, b'{"error": "out of memory"}', "out of memory"),
    "no JSON": (200, b"<html>", "not that of an OpenAI-compatible"),
    "an answer that was cut": (
        200,
        b'{"choices": [{"message": {"content": "It draws"}, "finish_reason": "length"}]}',
        "cut",
    ),
    "no choices": (200, b'{"choices": []}', "said nothing"),
}


@pytest.mark.parametrize(("status", "body", "part"), FAILURES.values(), ids=FAILURES)
def test_a_model_that_fails_is_a_502_of_the_service(
    sandbox: Sandbox, model: Model, status: int, body: bytes, part: str
) -> None:
    model.reply = (status, body)
    answer = ask(sandbox)
    assert answer.status_code == 502
    assert part in answer.json()["error"]["message"]


def test_a_model_that_is_not_there_is_named(folder: Path) -> None:
    with Sandbox(folder, writer=Writer("http://127.0.0.1:9/v1", "small")) as sandbox:
        answer = ask(sandbox)
    assert answer.status_code == 502
    assert "http://127.0.0.1:9/v1" in answer.json()["error"]["message"]


def test_a_long_answer_without_a_marker_is_checked_at_once(sandbox: Sandbox, model: Model) -> None:
    model.says("word " * 20_000)
    begin = time.process_time()
    assert len(text(ask(sandbox))) > 90_000
    assert time.process_time() - begin < 5


@pytest.mark.parametrize("url", ["http://models.example/v1", "http://me:secret@localhost/v1"])
def test_a_key_is_not_sent_in_clear_to_another_machine(url: str) -> None:
    with pytest.raises(ValueError, match="key") as raised:
        Writer(url, "small", api_key="of the model")
    assert "secret" not in str(raised.value)


def test_an_address_that_is_none_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="localhost:11434"):
        Writer("localhost:11434", "small")
