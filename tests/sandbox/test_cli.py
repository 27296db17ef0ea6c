import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from qaip_sandbox import Sandbox
from qaip_sandbox.cli import main


def serve(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-W", "error", "-m", "qaip_sandbox", "serve", *arguments]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8"
    )


def read_announcement(process: subprocess.Popen[str]) -> list[str]:
    assert process.stdout
    lines: list[str] = []
    while not lines or "Ctrl-C" not in lines[-1]:
        line = process.stdout.readline()
        assert line, "the command ended early"
        lines.append(line.rstrip())
    return lines


@pytest.mark.skipif(os.name != "posix", reason="sends an interrupt to a process")
def test_the_command_serves_until_it_is_interrupted(docs: Path) -> None:
    with serve(str(docs)) as process:
        first, *exports, _ = read_announcement(process)
        assert first.startswith("# 4 documents, 8 chunks: http://127.0.0.1:")
        env = dict(line.removeprefix("export ").split("=", 1) for line in exports)
        headers = {"x-api-key": env["QAIP_API_KEY"]}
        assert httpx.get(env["QAIP_BASE_URL"] + "/tags", headers=headers).status_code == 200
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=5)
    assert (process.returncode, errors) == (0, "")


@pytest.mark.skipif(os.name != "posix", reason="sends an interrupt to a process")
def test_an_address_open_to_others_gets_a_warning(docs: Path) -> None:
    with serve(str(docs), "--host", "0.0.0.0") as process:
        read_announcement(process)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=5)
    assert "not a loopback address" in errors


def test_a_missing_folder_ends_with_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", str(tmp_path / "missing")]) == 2
    assert "not a folder" in capsys.readouterr().err


def test_a_port_in_use_ends_with_2(
    docs: Path, sandbox: Sandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve", str(docs), "--port", sandbox.url.rpartition(":")[2]]) == 2
    assert "in use" in capsys.readouterr().err


def test_a_port_out_of_range_ends_with_2(docs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", str(docs), "--port", "70000"]) == 2
    assert "port" in capsys.readouterr().err
