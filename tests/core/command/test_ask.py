"""`qaip ask`."""

import io
import json
import sys
from pathlib import Path

import pytest

from qaip_sandbox import Disconnect, Sandbox, Status
from support.fault_server import FaultServer, html_reply, json_reply, sse_reply

from .conftest import Run

QUESTION = "How high is the tower?"
ANSWER = "The tower is 38 metres high and was built of granite from the quarry at Pellow."
CITING = ["qaip", "perplexity", "dify", "pais"]
ALL = [*CITING, "fireworks"]


def test_a_folder_answers_without_a_key(qaip: Run, handbook: Path) -> None:
    code, out, err = qaip("ask", "--docs", handbook, QUESTION)
    assert (code, err) == (0, "")
    assert out.startswith(f"{ANSWER}[1]\n\n[1] The history of Stennick Light (")
    assert str(handbook / "history.md") in out
    assert "\n    The tower is 38 metres high" in out
    assert "sandbox.invalid" not in out


def test_the_question_may_be_given_without_quotes(qaip: Run, handbook: Path) -> None:
    assert ANSWER in qaip("ask", "--docs", handbook, *QUESTION.split()).out


@pytest.mark.parametrize("service", ALL)
def test_a_folder_answers_by_every_service_s_protocol(
    qaip: Run, handbook: Path, service: str
) -> None:
    code, out, err = qaip("ask", "--docs", handbook, "--service", service, QUESTION)
    assert (code, err) == (0, "")
    assert out.startswith(ANSWER)
    assert ("\n[1] " in out) == (service in CITING)


@pytest.mark.parametrize("service", ALL)
def test_json_is_one_object_with_what_is_known(qaip: Run, handbook: Path, service: str) -> None:
    done = qaip("ask", "--docs", handbook, "--service", service, "--json", QUESTION)
    found = json.loads(done.out)
    assert (found["question"], found["service"]) == (QUESTION, service)
    assert found["answer"].startswith(ANSWER)
    assert found["model"]
    assert ("cost" in found) == (service in ("perplexity", "dify"))
    assert (found["usage"] is None) == (service in ("qaip", "pais"))
    if service not in CITING:
        assert found["sources"] == []
        return
    first = found["sources"][0]
    assert first.keys() == {
        *("number", "title", "url", "page_number", "date", "text", "id", "score")
    }
    assert first["number"] == 1
    assert first["url"] == str(handbook / "history.md")
    assert first["text"].startswith("The tower is 38 metres high")


def test_a_page_is_told(qaip: Run, handbook: Path) -> None:
    question = "When is the next inspection due?"
    assert "inspection.pdf), p. " in qaip("ask", "--docs", handbook, question).out


def test_the_question_comes_from_standard_input(
    qaip: Run, handbook: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{QUESTION}\n"))
    assert ANSWER in qaip("ask", "--docs", handbook, "-").out


def test_no_question_is_refused(qaip: Run) -> None:
    code, out, err = qaip("ask", " ")
    assert (code, out) == (2, "")
    assert 'qaip ask "your question"' in err


def test_a_question_that_is_no_text_is_refused(qaip: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"How \xff"), "utf-8"))
    for question in ("-", "How \udcff"):  # as Python has a byte of the command line
        code, out, err = qaip("ask", question)
        assert (code, out) == (2, "")
        assert err == "qaip: the question is no text in UTF-8\n"


def test_the_service_that_is_set_up_is_asked(qaip: Run, sandbox: Sandbox) -> None:
    names = ("DIFY_API_KEY", "DIFY_BASE_URL")
    code, out, err = qaip("ask", QUESTION, **{name: sandbox.env[name] for name in names})
    assert (code, err) == (0, "")
    assert out.startswith(ANSWER)
    assert {record.service for record in sandbox.requests} == {"dify"}


def test_of_several_the_first_is_asked_and_the_others_are_named(
    qaip: Run, sandbox: Sandbox
) -> None:
    code, out, err = qaip("ask", QUESTION, **sandbox.env)
    assert code == 0
    assert out.startswith(ANSWER)
    assert err == "qaip: asking Qaip; --service takes another: perplexity, dify, pais, fireworks\n"


def test_if_none_is_set_up_it_says_how_to_begin(qaip: Run) -> None:
    code, out, err = qaip("ask", QUESTION)
    assert (code, out) == (2, "")
    for needed in ("PERPLEXITY_API_KEY or PPLX_API_KEY", "PAIS_BASE_URL", "--docs FOLDER"):
        assert needed in err


def test_a_missing_key_is_named(qaip: Run) -> None:
    code, _, err = qaip("ask", "--service", "dify", QUESTION)
    assert code == 2
    assert "DIFY_API_KEY" in err
    assert err.endswith("(more: qaip explain MissingKeyError)\n")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("service", "words"),
    [
        ("perplexity", ("--model perplexity/sonar", "qaip models --service perplexity")),
        ("fireworks", ("--model accounts/", "qaip models --service fireworks")),
        ("pais", ("--agent ID or --model NAME", "qaip models --service pais")),
    ],
)
def test_a_missing_model_is_asked_for(
    qaip: Run, sandbox: Sandbox, service: str, words: tuple[str, ...]
) -> None:
    code, _, err = qaip("ask", "--service", service, QUESTION, **sandbox.env)
    assert code == 2
    assert all(word in err for word in words)


@pytest.mark.parametrize("service", ["qaip", "dify"])
def test_a_model_that_nobody_would_look_at_is_refused(
    qaip: Run, sandbox: Sandbox, service: str
) -> None:
    code, _, err = qaip("ask", "--service", service, "--model", "m", QUESTION, **sandbox.env)
    assert code == 2
    assert "leave --model out" in err


def test_perplexity_searches_the_web(qaip: Run, sandbox: Sandbox) -> None:
    arguments = ("ask", "--service", "perplexity", "--model", "perplexity/sonar", QUESTION)
    assert qaip(*arguments, **sandbox.env).code == 0
    (asked,) = sandbox.requests
    assert asked.path.endswith("/v1/agent")
    assert asked.body["tools"] == [{"type": "web_search"}]


@pytest.mark.parametrize(
    ("kind", "path"), [("completion", "/completion-messages"), ("chat", "/chat-messages")]
)
def test_dify_s_app_is_asked_as_its_kind_wants(
    qaip: Run, sandbox: Sandbox, kind: str, path: str
) -> None:
    sandbox.switch(dify={"app": kind})
    code, out, _ = qaip("ask", "--service", "dify", QUESTION, **sandbox.env)
    assert code == 0
    assert out.startswith(ANSWER)
    assert sandbox.requests[-1].path.endswith(path)


def test_a_workflow_is_no_app_that_answers(qaip: Run, sandbox: Sandbox) -> None:
    sandbox.switch(dify={"app": "workflow"})
    code, _, err = qaip("ask", "--service", "dify", QUESTION, **sandbox.env)
    assert code == 2
    assert "DifyWorkflow" in err


def test_an_agent_of_pais_answers_with_sources(qaip: Run, sandbox: Sandbox) -> None:
    listed = qaip("models", "--service", "pais", "--json", **sandbox.env).out
    agent = next(m["id"] for m in json.loads(listed) if m["kind"] == "agent")
    code, out, _ = qaip("ask", "--service", "pais", "--agent", agent, QUESTION)
    assert code == 0
    assert "\n[1] " in out


def test_an_agent_is_for_pais_only(qaip: Run) -> None:
    code, _, err = qaip("ask", "--agent", "a", QUESTION)
    assert code == 2
    assert "--service pais" in err


def test_an_answer_that_breaks_off_stays_shown(qaip: Run, sandbox: Sandbox) -> None:
    sandbox.faults.add(Disconnect(after=3, service="qaip"))
    code, out, err = qaip("ask", "--service", "qaip", QUESTION, **sandbox.env)
    assert code == 1
    assert out.startswith("The")
    assert err.startswith("qaip: ")
    assert "qaip explain IncompleteStreamError" in err


def test_an_answer_that_breaks_off_is_no_json(qaip: Run, sandbox: Sandbox) -> None:
    sandbox.faults.add(Disconnect(after=3, service="qaip"))
    code, out, err = qaip("ask", "--json", "--service", "qaip", QUESTION, **sandbox.env)
    assert (code, out) == (1, "")
    assert "IncompleteStreamError" in err


def test_a_wrong_key_is_told_without_showing_it(qaip: Run, sandbox: Sandbox) -> None:
    wrong = {**sandbox.env, "QAIP_API_KEY": "secret-of-mine-1847"}
    code, out, err = qaip("ask", "--service", "qaip", QUESTION, **wrong)
    assert (code, out) == (1, "")
    assert "QAIP_API_KEY" in err
    assert "AuthenticationError" in err
    assert "1847" not in err


def test_an_error_is_one_line_that_cannot_steer_the_terminal(qaip: Run) -> None:
    with FaultServer() as server:
        server.replies(json_reply({"error": {"message": "no\x1b[2J\nway"}}, 400))
        code, _, err = qaip("ask", QUESTION, QAIP_API_KEY="key-of-mine", QAIP_BASE_URL=server.url)
    assert code == 1
    assert "\x1b" not in err
    assert err.count("\n") == 1


def test_a_folder_that_is_not_there_is_named(qaip: Run) -> None:
    code, _, err = qaip("ask", "--docs", "nowhere", QUESTION)
    assert code == 2
    assert err == "qaip: not a folder: nowhere\n"


def test_a_folder_without_documents_is_told(qaip: Run, tmp_path: Path) -> None:
    (tmp_path / "noise.bin").write_bytes(b"\x00\x01")
    code, _, err = qaip("ask", "--docs", tmp_path, QUESTION)
    assert code == 2
    assert "not read: noise.bin: not a kind of file that is read (.bin)" in err
    assert "nothing to read" in err


def test_a_service_that_is_busy_is_asked_again(qaip: Run, sandbox: Sandbox) -> None:
    sandbox.faults.add(Status(code=429, retry_after=0, service="qaip"))
    assert qaip("ask", "--service", "qaip", QUESTION, **sandbox.env).code == 0


def test_a_server_of_dify_that_is_too_old_to_tell_is_asked_as_a_completion_app(qaip: Run) -> None:
    with FaultServer() as server:
        server.replies(html_reply(404), json_reply({"message": "no"}, 400))
        qaip("ask", QUESTION, DIFY_API_KEY="app-key-of-mine", DIFY_BASE_URL=server.url)
    assert [r.path for r in server.requests] == ["/info", "/completion-messages"]


def test_a_document_keeps_the_address_that_it_gives_itself(qaip: Run, tmp_path: Path) -> None:
    page = '<html><head><link rel="canonical" href="https://light.example/tower"></head>'
    (tmp_path / "tower.html").write_text(f"{page}<body><p>{ANSWER}</p></body></html>")
    out = qaip("ask", "--docs", tmp_path, QUESTION).out
    assert "https://light.example/tower" in out


def test_what_the_service_takes_back_is_no_part_of_the_answer(
    qaip: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = (
        {"event": "message", "answer": "Wrong."},
        {"event": "message_replace", "answer": "Right."},
        {"event": "message_end", "message_id": "m"},
    )
    with FaultServer() as server:
        server.replies(json_reply({"mode": "completion"}), sse_reply(*map(json.dumps, events)))
        _, out, _ = qaip("ask", QUESTION, DIFY_API_KEY="app-key-of-mine", DIFY_BASE_URL=server.url)
    assert out.endswith("\nRight.\n")
    assert out.startswith("Wrong.")


def test_ctrl_c_ends_it(qaip: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    class Keyboard(io.StringIO):
        def read(self, size: int | None = -1) -> str:
            raise KeyboardInterrupt

    monkeypatch.setattr(sys, "stdin", Keyboard())
    assert qaip("ask", "-").code == 130


@pytest.mark.parametrize("command", [("ask", "--docs"), ("models",), ("doctor",), ("explain",)])
def test_help_tells_what_a_command_takes(qaip: Run, command: tuple[str, ...]) -> None:
    code, out, _ = qaip(command[0], "--help")
    assert code == 0
    assert out.startswith(f"usage: qaip {command[0]}")


def test_the_version_is_told(qaip: Run) -> None:
    assert qaip("--version").out.startswith("qaip ")


def test_a_limit_of_tokens_is_passed_on_and_its_effect_is_told(qaip: Run, sandbox: Sandbox) -> None:
    arguments = ("--service", "fireworks", "--model", "m", "--max-tokens", "3")
    asked = qaip("ask", "--json", *arguments, QUESTION, **sandbox.env)
    assert json.loads(asked.out)["finish_reason"] == "length"
    code, out, err = qaip("ask", *arguments, QUESTION, **sandbox.env)
    assert code == 0
    assert out.startswith("The tower")
    assert "granite" not in out
    assert "--max-tokens" in err


def test_an_answer_without_text_is_told(qaip: Run) -> None:
    with FaultServer() as server:
        events = sse_reply(json.dumps({"event": "message_end", "message_id": "m"}))
        server.replies(json_reply({"mode": "completion"}), events)
        environment = {"DIFY_API_KEY": "app-key-of-mine", "DIFY_BASE_URL": server.url}
        code, out, err = qaip("ask", QUESTION, **environment)
    assert (code, out.strip()) == (0, "")
    assert err == "qaip: the service sent an answer without text\n"


def test_json_cannot_steer_the_terminal(qaip: Run) -> None:
    hostile = "café \x9b2J \x7f \u202e \U000e0041 \u2028"
    with FaultServer() as server:
        message = json.dumps({"event": "message", "answer": hostile})
        end = json.dumps({"event": "message_end", "message_id": "m"})
        server.replies(json_reply({"mode": "completion"}), sse_reply(message, end))
        environment = {"DIFY_API_KEY": "app-key-of-mine", "DIFY_BASE_URL": server.url}
        out = qaip("ask", "--json", QUESTION, **environment).out
    assert json.loads(out)["answer"] == hostile
    assert "café" in out
    assert out.replace("\n", "").isprintable()


def test_a_limit_that_the_service_does_not_know_is_refused(qaip: Run, sandbox: Sandbox) -> None:
    arguments = ("--service", "dify", "--max-tokens", "3")
    code, _, err = qaip("ask", *arguments, QUESTION, **sandbox.env)
    assert code == 2
    assert "--max-tokens" in err


def test_without_a_command_it_helps(qaip: Run) -> None:
    code, out, err = qaip()
    assert (code, out) == (2, "")
    assert "examples:" in err


def test_a_model_that_was_ended_is_answered_with_what_to_type(qaip: Run) -> None:
    asked = ["ask", "--service", "perplexity", "--model", "sonar", QUESTION]
    code, out, err = qaip(*asked, PERPLEXITY_API_KEY="pplx-key")
    assert (code, out) == (2, "")
    assert "--model perplexity/sonar asks its successor" in err
    assert "web_search" not in err


def test_attempts_are_told(qaip: Run) -> None:
    with FaultServer() as server:
        server.replies(*[json_reply({"message": "busy"}, 503, retry_after="0")] * 3)
        environment = {"QAIP_API_KEY": "some-key", "QAIP_BASE_URL": server.url}
        code, _, err = qaip("ask", QUESTION, **environment)
    assert code == 1
    assert err.endswith(" (after 3 attempts; more: qaip explain ServerError)\n")
