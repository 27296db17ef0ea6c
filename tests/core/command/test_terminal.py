"""What the command looks like in a terminal."""

import sys

import pytest

from qaip_sandbox import Sandbox

from .conftest import Done, Run


@pytest.fixture
def in_terminal(qaip: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "100")

    def run(*arguments: object, **environment: str) -> Done:
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
        return qaip(*arguments, **environment)

    return run


def test_models_are_a_table_with_headings(in_terminal: Run, sandbox: Sandbox) -> None:
    out = in_terminal("models", "--service", "fireworks", **sandbox.env).out
    assert "\x1b[1mcontext" in out
    assert "accounts/sandbox/models/extractive" in out


def test_a_check_that_failed_stands_out(in_terminal: Run) -> None:
    assert "\x1b[1;31mfail" in in_terminal("doctor", "--service", "dify", "--offline").out


def test_in_a_narrow_terminal_nothing_is_cut(
    in_terminal: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    path = "/etc/" + "/".join(["certificates"] * 5)
    out = in_terminal("doctor", "--offline", SSL_CERT_FILE=path).out
    assert "…" not in out
    assert path in [word for line in out.splitlines() for word in line.split()]


def test_what_is_to_be_copied_is_in_one_piece(
    in_terminal: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    url = "https://gateway.example/where/all/the/services/are"
    environment = {"FIREWORKS_API_KEY": "some-key", "FIREWORKS_API_BASE": url}
    out = in_terminal("doctor", "--offline", "--service", "fireworks", **environment).out
    assert url in out
    assert max(len(line) for line in out.splitlines()) <= 80 + len("\x1b[33m\x1b[0m")


def test_code_stands_on_the_terminal_s_own_ground(in_terminal: Run) -> None:
    out = in_terminal("explain", "MissingKeyError").out
    assert "\x1b[1;36mConfigurationError\x1b[0m" in out
    assert ";40m" not in out
    assert ";48;" not in out


def test_an_error_is_explained_with_its_headings_in_bold(in_terminal: Run) -> None:
    out = in_terminal("explain", "MissingKeyError").out
    assert "\x1b[1" in out
    assert "###" not in out


def test_an_answer_has_its_sources_below_it(in_terminal: Run, sandbox: Sandbox) -> None:
    out = in_terminal("ask", "--service", "qaip", "How high is the tower?", **sandbox.env).out
    assert "Children may climb the tower" in out
    assert "\x1b[" in out
