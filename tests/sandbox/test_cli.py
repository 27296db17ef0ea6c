import json
import os
import re
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
        assert (
            httpx.get(env["QAIP_BASE_URL"] + "/tags", headers=headers, verify=False).status_code
            == 200
        )
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=5)
    assert (process.returncode, errors) == (0, "")


@pytest.mark.skipif(os.name != "posix", reason="sends an interrupt to a process")
def test_the_command_serves_faults_of_some_chance_and_keeps_the_requests(docs: Path) -> None:
    faults = ["--fault", "status; code=429; chance=0.5; times=null", "--fault", "page; code=500"]
    with serve(str(docs), "--no-cache", "--seed", "3", "--journal", "5", *faults) as process:
        _, *exports, _ = read_announcement(process)
        env = dict(line.removeprefix("export ").split("=", 1) for line in exports)
        headers = {"x-api-key": env["QAIP_API_KEY"]}
        with httpx.Client(headers=headers, verify=False) as http:
            statuses = [http.get(env["QAIP_BASE_URL"] + "/tags").status_code for _ in range(30)]
            control = httpx.URL(env["QAIP_BASE_URL"]).join("/_sandbox/requests")
            kept = [record["status"] for record in http.get(control).json()]
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=5)
    assert (set(statuses), statuses.count(500)) == ({200, 429, 500}, 1)
    assert kept == statuses[-5:]


@pytest.fixture(autouse=True)
def caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "caches"
    monkeypatch.setenv("QAIP_SANDBOX_CACHE", str(folder))
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "lamp.md").write_text("# Lamp\n\nThe reading lamp draws nine watts.\n")
    (folder / "notes.xyz").write_text("what is this?")
    return folder


def test_an_open_address_needs_a_token(docs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", str(docs), "--host", "0.0.0.0"]) == 2
    assert "give a token" in capsys.readouterr().err


def test_ask_prints_the_answer_and_its_sources(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ask", str(folder), "How", "many", "watts?"]) == 0
    lines = [line.strip() for line in capsys.readouterr().out.splitlines() if line]
    assert lines == [
        "The reading lamp draws nine watts.[1]",
        "[1] Lamp  lamp.md",
        "The reading lamp draws nine watts.",
    ]


def test_ask_prints_json_for_programs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ask", str(folder), "How many watts?", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    (source,) = found["sources"]
    assert found["answer"] == "The reading lamp draws nine watts.[1]"
    assert (source["path"], source["page_number"]) == ("lamp.md", None)
    text = (folder / "lamp.md").read_text()
    assert text[source["start"] : source["end"]] == source["text"]


def test_ask_ends_with_1_where_nothing_answers(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ask", str(folder), "Who won the regatta?"]) == 1
    assert "could not find" in capsys.readouterr().out


def test_a_model_that_is_not_there_ends_with_2(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = ["--generate-with", "http://127.0.0.1:9/v1", "--model", "small"]
    assert main(["ask", str(folder), "How many watts?", *model]) == 2
    assert "http://127.0.0.1:9/v1 cannot be asked" in capsys.readouterr().err


def test_ask_says_which_file_was_not_read_and_why(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["ask", str(folder), "How many watts?"])
    reason = "not a kind of file that is read (.xyz)"
    assert capsys.readouterr().err == f"not read: notes.xyz: {reason}\n"


def test_ask_names_a_few_files_that_were_not_read_broken_ones_first(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / ".hidden").write_text("")
    (folder / "a.png").write_bytes(b"")
    for name in ("y.json", "z.json"):
        (folder / name).write_text("{")
    for name in ("a.txt", "b.txt"):
        (folder / name).write_bytes(b"\0")
    main(["ask", str(folder), "How many watts?"])
    assert capsys.readouterr().err.splitlines() == [
        "not read: a.txt (and 1 more): binary content",
        "not read: y.json (and 1 more): not JSON: Expecting property name enclosed in double quotes"
        ": line 1 column 2 (char 1)",
        "not read: a.png: not a kind of file that is read (.png)",
        f"... and 1 more: to list them, run qaip-sandbox index {folder}",
    ]
    main(["index", str(folder)])
    assert len(re.findall("^not read: ", capsys.readouterr().err, re.MULTILINE)) == 7


def test_a_broken_pdf_is_named_once_and_pypdf_says_nothing(folder: Path) -> None:
    (folder / "notes.xyz").unlink()
    (folder / "bin.pdf").write_bytes(b"%PDF-1.4 and no more")
    command = [sys.executable, "-m", "qaip_sandbox", "ask", str(folder), "How many watts?"]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    assert found.stderr.startswith("not read: bin.pdf: a broken PDF: ")
    assert found.stderr.count("\n") == 1


def test_a_missing_package_is_named_with_the_line_that_installs_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "rich.console", None)
    monkeypatch.delitem(sys.modules, "qaip_sandbox.terminal", raising=False)
    monkeypatch.delattr("qaip_sandbox.terminal", raising=False)
    assert main(["ask", str(folder), "How many watts?"]) == 2
    told = 'qaip-sandbox: rich is missing: pip install "qaip-integrations[sandbox]"\n'
    assert capsys.readouterr().err == told


def test_a_document_cannot_steer_the_terminal(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "lamp.md").write_text(
        "# \x1b[31mLamp\n\nThe lamp draws \x1b]0;owned\x07nine watts.\n"
    )
    assert main(["ask", str(folder), "How many watts does the lamp draw?"]) == 0
    shown = capsys.readouterr().out
    assert "nine watts" in shown
    assert not {"\x1b", "\x07"} & set(shown)


def test_index_tells_what_there_is_and_what_has_changed(
    folder: Path, caches: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["index", str(folder)]) == 0
    first = capsys.readouterr()
    assert "1 documents (1 md)" in first.out
    assert "1 added" in first.out
    assert "notes.xyz" in first.err
    assert len(list(caches.glob("*.sqlite"))) == 1
    (folder / "kettle.txt").write_text("The kettle boils in two minutes.")
    assert main(["index", str(folder)]) == 0
    assert "1 added, 1 unchanged" in capsys.readouterr().out


def test_no_cache_keeps_nothing(folder: Path, caches: Path) -> None:
    assert main(["index", str(folder), "--no-cache"]) == 0
    assert not caches.exists()


WRONG = {
    "no such service": (["--set", "bing.profile=new"], "qaip, fireworks"),
    "no such switch": (["--set", "dify.colour=red"], "there are"),
    "no such profile": (["--set", "perplexity.profile=1999"], "profile"),
    "no such fault": (["--fault", "earthquake"], "no such fault"),
    "no such chance": (["--fault", "status; chance=2"], "chance"),
    "a model without a server": (["--model", "small"], "go together"),
    "a key that is not there": (
        ["--generate-with", "http://127.0.0.1:9/v1", "--model", "m", "--generate-key", "NO_KEY"],
        "NO_KEY",
    ),
}


@pytest.mark.parametrize(("arguments", "told"), WRONG.values(), ids=WRONG)
def test_a_wrong_argument_ends_with_2(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], told: str
) -> None:
    assert main(["serve", str(folder), *arguments]) == 2
    assert told in capsys.readouterr().err


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


def test_the_page_of_the_switches_is_what_the_command_prints(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["switches", "--markdown"]) == 0
    page = Path(__file__).parents[2] / "docs/sandbox-switches.md"
    assert capsys.readouterr().out == page.read_text("utf-8"), (
        "run: qaip-sandbox switches --markdown > docs/sandbox-switches.md"
    )


def test_switches_are_listed_with_their_values(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["switches", "perplexity"]) == 0
    assert capsys.readouterr().out.startswith("perplexity.profile = 2026-06  (")
    assert main(["switches", "bing"]) == 2
