"""The command in a process of its own: signals, pipes, terminals, and what is not installed."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from qaip_sandbox import Sandbox
from support.fault_server import FaultServer, Reply, json_reply

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals and terminals of POSIX")
QUESTION = "How high is the tower?"


def without(*modules: str) -> list[str]:
    """Return how the command is begun where some modules are not installed."""
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({modules!r}));"
        "from qaip_core.command import main; sys.exit(main())"
    )
    return [sys.executable, "-W", "error", "-c", code]


def done(command: list[str], *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*command, *map(str, arguments)], capture_output=True, text=True, check=False, timeout=60
    )


def test_it_says_its_version_and_how_it_is_used(in_process: list[str]) -> None:
    assert done(in_process, "--version").stdout.startswith("qaip ")
    found = done(in_process, "--help")
    assert (found.returncode, found.stderr) == (0, "")
    assert found.stdout.startswith("usage: qaip")


def test_a_mistyped_command_is_a_wrong_argument(in_process: list[str]) -> None:
    found = done(in_process, "aks")
    assert found.returncode == 2
    assert "ask" in found.stderr


def test_without_the_sandbox_s_extra_it_says_what_to_install(handbook: Path) -> None:
    found = done(without("starlette", "uvicorn"), "ask", "--docs", handbook, QUESTION)
    assert found.returncode == 2
    assert 'starlette is missing: pip install "qaip-integrations[sandbox]"' in found.stderr
    assert "Traceback" not in found.stderr


def test_without_a_part_of_that_extra_neither(handbook: Path) -> None:
    found = done(without("rich"), "ask", "--docs", handbook, QUESTION)
    assert found.returncode == 2
    assert "pip install" in found.stderr


def test_it_needs_neither_rich_nor_a_framework_nor_the_sandbox(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in sandbox.env.items():
        monkeypatch.setenv(name, value)
    missing = "rich", "markdown_it", "langchain_core", "llama_index", "qaip_sandbox", "packaging"
    for arguments in (
        ("ask", "--service", "qaip", QUESTION),
        ("models", "--service", "pais"),
        ("doctor",),
        ("explain", "MissingKeyError"),
    ):
        found = done(without(*missing), *arguments)
        assert (found.returncode, found.stderr) == (0, "")
        assert found.stdout


def test_a_reader_that_leaves_is_no_fault(in_process: list[str], handbook: Path) -> None:
    buffered = {k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"}
    for arguments in (["ask", "--docs", str(handbook), QUESTION], ["explain"], ["--help"]):
        with subprocess.Popen(
            [*in_process, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=buffered,
        ) as process:
            assert process.stdout
            assert process.stderr
            process.stdout.close()
            assert process.stderr.read() == ""
            assert process.wait(30) == 0


@pytest.mark.parametrize("arguments", [("ask", QUESTION), ("doctor", "--service", "qaip")])
def test_ctrl_c_ends_it_at_once_and_quietly(
    in_process: list[str], arguments: tuple[str, ...]
) -> None:
    environment = {**os.environ, "QAIP_API_KEY": "some-key"}
    with FaultServer() as server:
        server.replies(Reply(body=b"", end="hang", content_type="text/event-stream"))
        process = subprocess.Popen(
            [*in_process, *arguments],
            env={**environment, "QAIP_BASE_URL": server.url},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert server.wait_requests(1, 30)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=5)
    assert (process.returncode, out, err) == (130, "", "")


def test_in_a_terminal_it_is_a_table(in_process: list[str]) -> None:
    import pty

    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [*in_process, "doctor", "--offline"],
        stdout=theirs,
        env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "100"},
    ) as process:
        os.close(theirs)
        shown = b""
        while chunk := _read(ours):
            shown += chunk
    os.close(ours)
    assert process.returncode == 0
    assert b"\x1b[1m" in shown
    assert b"\x1b[32mok" in shown


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # its other end is closed
        return b""


def test_a_cut_answer_is_told_of_once(in_process: list[str]) -> None:
    choice = {"message": {"content": "tea"}, "finish_reason": "length"}
    with FaultServer() as server:
        server.replies(json_reply({"choices": [choice]}))
        found = subprocess.run(
            [*in_process, "ask", "--service", "fireworks", "--model", "m", QUESTION],
            env={**os.environ, "FIREWORKS_API_KEY": "some-key", "FIREWORKS_API_BASE": server.url},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
    assert found.stdout.strip() == "tea"
    assert found.stderr == "qaip: the answer ends at the limit of tokens; see --max-tokens\n"
