"""Answers that grow: in a pipe, in a terminal, in a notebook."""

import io
import re
import sys
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from IPython.core.displaypub import CapturingDisplayPublisher
from IPython.core.interactiveshell import InteractiveShell
from rich.console import Console
from traitlets.config import Config

from qaip_core.citations import resolve_markers
from qaip_core.rendering import CitedAnswer, live, notebook, showing
from qaip_core.types import Citation
from support.terminal import in_terminal

SOURCE = Citation(id="a", title="History", url="https://a.example/b", text="Lit in 1847.")
LONG = "\n\n".join(f"Paragraph {n} {'goes on and on ' * 9}.[1]" for n in range(1, 9))


class Reading:
    def __init__(self) -> None:
        self.text = ""

    def add(self, piece: str) -> str:
        if piece.startswith("="):
            self.text = piece[1:]
            return showing.Replaced(self.text)
        self.text += piece
        return piece

    def cited(self) -> CitedAnswer:
        return CitedAnswer(self.text, [c.as_dict() for c in resolve_markers(self.text, [SOURCE])])

    def whole(self) -> str:
        return self.text


def follow(*pieces: str) -> str:
    return showing.follow(iter(pieces), Reading())


def words(text: str) -> list[str]:
    return [f"{word} " for word in text.split(" ")]


SOURCES = "[1] History\n    https://a.example/b\n    Lit in 1847."


def test_a_pipe_gets_the_text_as_it_comes(capsys: pytest.CaptureFixture[str]) -> None:
    seen = []

    def pieces() -> Iterator[str]:
        for piece in ("Lit ", "in 1847", ".[1]"):
            yield piece
            seen.append(capsys.readouterr().out)

    assert showing.follow(pieces(), Reading()) == "Lit in 1847.[1]"
    assert seen == ["Lit ", "in 1847", ".[1]"]
    assert capsys.readouterr().out == f"\n\n{SOURCES}\n"


async def test_what_is_async_is_shown_alike(capsys: pytest.CaptureFixture[str]) -> None:
    async def pieces() -> AsyncIterator[str]:
        yield "Lit in "
        yield "1847.[1]"

    assert await showing.afollow(pieces(), Reading()) == "Lit in 1847.[1]"
    assert capsys.readouterr().out == f"Lit in 1847.[1]\n\n{SOURCES}\n"


async def test_a_stream_that_cannot_be_closed_is_shown_too(
    capsys: pytest.CaptureFixture[str],
) -> None:
    class Stream:
        def __init__(self) -> None:
            self.left = ["Lit in ", "1847.[1]"]

        def __aiter__(self) -> AsyncIterator[str]:
            return self

        async def __anext__(self) -> str:
            if not self.left:
                raise StopAsyncIteration
            return self.left.pop(0)

    assert await showing.afollow(Stream(), Reading()) == "Lit in 1847.[1]"
    assert capsys.readouterr().out == f"Lit in 1847.[1]\n\n{SOURCES}\n"


def test_a_whole_answer_is_shown_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    answer = CitedAnswer("Lit.", [])
    showing.show(answer)
    assert capsys.readouterr().out == "Lit.\n"


def test_an_answer_without_text_still_has_its_sources(capsys: pytest.CaptureFixture[str]) -> None:
    assert follow() == ""
    assert capsys.readouterr().out == f"{SOURCES}\n"


def test_text_that_is_taken_back_is_said_to_be(capsys: pytest.CaptureFixture[str]) -> None:
    follow("Secret.", "=Sorry", ", no.")
    said = "Secret.\n[The service took back the text above.]\nSorry, no.\n\n"
    assert capsys.readouterr().out == f"{said}{SOURCES}\n"


def test_an_answer_that_ends_otherwise_than_it_grew_is_shown_anew(
    capsys: pytest.CaptureFixture[str],
) -> None:
    class Other(Reading):
        def cited(self) -> CitedAnswer:
            return CitedAnswer("Sorry.")

    showing.follow(iter(["Secret."]), Other())
    said = "Secret.\n[The service took back the text above.]\nSorry.\n"
    assert capsys.readouterr().out == said


class BreaksError(Exception):
    pass


def breaking() -> Iterator[str]:
    yield "Lit in"
    raise BreaksError


def test_what_breaks_off_stays_and_is_said_to_be_incomplete(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(BreaksError):
        showing.follow(breaking(), Reading())
    assert capsys.readouterr().out == "Lit in\n[Incomplete: BreaksError]\n"


def test_a_stream_that_is_left_is_closed(capsys: pytest.CaptureFixture[str]) -> None:
    closed = []

    class Stream:
        def __iter__(self) -> Iterator[str]:
            return self

        def __next__(self) -> str:
            raise KeyboardInterrupt

        def close(self) -> None:
            closed.append(True)

    with pytest.raises(KeyboardInterrupt):
        showing.follow(Stream(), Reading())
    assert closed == [True]
    assert capsys.readouterr().out == ""


def test_controls_in_a_stream_reach_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    follow("a\x1b", "[31mb\u202e\r", "\nc")
    assert capsys.readouterr().out.startswith("a[31mb\nc\n\n")


def test_a_terminal_shows_markdown_and_the_sources_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with in_terminal(monkeypatch) as terminal:
        follow("Lit in **18", "47**", ".[1]")
        seen = terminal()
        assert seen.text == f"Lit in 1847.[1]\n\n{SOURCES}"
        assert set(seen.links) == {"https://a.example/b"}
        assert seen.unknown == []


def test_a_terminal_shows_text_as_it_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    with in_terminal(monkeypatch) as terminal:
        seen = []

        def pieces() -> Iterator[str]:
            for piece in ("Lit ", "in ", "1847."):
                yield piece
                seen.append(terminal().text)
                time.sleep(0.1)

        showing.follow(pieces(), Reading())
        assert seen == ["Lit", "Lit in", "Lit in 1847."]


def test_an_answer_longer_than_the_screen_is_there_in_full(monkeypatch: pytest.MonkeyPatch) -> None:
    with in_terminal(monkeypatch) as terminal:
        follow(*words(LONG))
        text = terminal().text
        paragraphs = [" ".join(part.split()) for part in text.split("\n\n")]
        assert paragraphs[:8] == [" ".join(part.split()) for part in LONG.split("\n\n")]
        assert text.endswith(SOURCES)
        assert text.count("[1] History") == 1


def test_a_paragraph_longer_than_the_screen_is_there_in_full(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with in_terminal(monkeypatch) as terminal:
        poem = "- " + "\n- ".join(f"line {n}" for n in range(60))
        follow(*poem.splitlines(keepends=True))
        text = terminal().text
        assert text.startswith("• line 0\n • line 1\n")
        assert [f"line {n}" for n in range(60)] == [
            line.strip(" •") for line in text.splitlines() if "•" in line
        ]


def test_a_terminal_says_what_is_incomplete(monkeypatch: pytest.MonkeyPatch) -> None:
    with in_terminal(monkeypatch) as terminal:
        with pytest.raises(BreaksError):
            showing.follow(breaking(), Reading())
        assert terminal().text == "Lit in\n[Incomplete: BreaksError]"


def test_a_terminal_says_what_was_taken_back(monkeypatch: pytest.MonkeyPatch) -> None:
    with in_terminal(monkeypatch) as terminal:
        follow("Secret.\n\nMore", "=Sorry.")
        said = "Secret.\n\nMore\n[The service took back the text above.]\nSorry."
        assert terminal().text == f"{said}\n\n{SOURCES}"


def test_a_whole_answer_in_a_terminal_is_rich(monkeypatch: pytest.MonkeyPatch) -> None:
    with in_terminal(monkeypatch) as terminal:
        reading = Reading()
        reading.add("**Lit**.[1]")
        showing.show(reading.cited())
        assert terminal().text == f"Lit.[1]\n\n{SOURCES}"


def test_a_terminal_that_knows_no_codes_gets_plain_text(monkeypatch: pytest.MonkeyPatch) -> None:
    with in_terminal(monkeypatch) as terminal:
        monkeypatch.setenv("TERM", "dumb")
        follow("**Lit**", ".[1]")
        assert terminal().text == f"**Lit**.[1]\n\n{SOURCES}"


def test_without_rich_a_terminal_gets_plain_text(monkeypatch: pytest.MonkeyPatch) -> None:
    with in_terminal(monkeypatch) as terminal:
        monkeypatch.setattr("qaip_core.rendering.showing.find_spec", lambda name: None)
        follow("**Lit**", ".[1]")
        assert terminal().text == f"**Lit**.[1]\n\n{SOURCES}"


def test_an_answer_without_sources_ends_with_its_text(monkeypatch: pytest.MonkeyPatch) -> None:
    with in_terminal(monkeypatch) as terminal:
        showing.follow(iter([" ", "Lit."]), Plain())
        assert terminal().text == "Lit."


def test_white_space_alone_is_nothing_to_print(monkeypatch: pytest.MonkeyPatch) -> None:
    with in_terminal(monkeypatch) as terminal:
        showing.follow(iter([" "]), Plain())
        assert terminal().text == ""


def test_a_pipe_that_does_not_know_a_character_gets_the_rest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    output = io.TextIOWrapper(io.BytesIO(), encoding="cp1252", newline="")
    monkeypatch.setattr(sys, "stdout", output)
    showing.follow(iter(["Feuer \u2013 ", "\u706b."]), Plain())
    assert output.buffer.getvalue().decode("cp1252") == "Feuer \u2013 ?.\n"


def test_an_output_that_is_closed_hides_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    output = io.StringIO()
    monkeypatch.setattr(sys, "stdout", output)

    def pieces() -> Iterator[str]:
        yield "Lit in"
        output.close()
        raise BreaksError

    with pytest.raises(BreaksError):
        showing.follow(pieces(), Plain())


def test_line_ends_that_are_cut_apart_are_one(capsys: pytest.CaptureFixture[str]) -> None:
    showing.follow(iter(["a\r", "\nb\r", "c"]), Plain())
    assert capsys.readouterr().out == "a\nb\nc\n"


def test_text_that_is_replaced_by_more_of_the_same_is_not_taken_back(
    capsys: pytest.CaptureFixture[str],
) -> None:
    follow("Lit ", "=Lit in 1847.")
    assert capsys.readouterr().out.startswith("Lit in 1847.\n\n[1]")


class Twice(Reading):
    def cited(self) -> CitedAnswer:
        same = {"id": "a", "title": "Log"}
        found = [[m.start(), m.end()] for m in re.finditer(r"\[\d\]", self.text)]
        known = [
            {**same, "rank": n, "spans": [span]} for n, span in zip((1, 3), found, strict=True)
        ]
        return CitedAnswer(self.text, known)


TWICE = "Lit.[1]\n\nHigh.[3]\n\nEnd"


def test_numbers_that_turn_out_to_be_one_source_are_said_to_be(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    showing.follow(iter([TWICE]), Twice())
    out = capsys.readouterr().out
    assert out == "Lit.[1]\n\nHigh.[3]\n\nEnd\n\n[1] Log\n[3] is [1]\n"
    for text, last in ((TWICE, "[3] is [1]"), (TWICE[:-5], "[1] Log")):
        with in_terminal(monkeypatch) as terminal:
            showing.follow(iter([text]), Twice())
            assert terminal().text.splitlines()[-1] == last


def test_a_cursor_is_shown_again_whatever_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    with in_terminal(monkeypatch) as terminal:
        monkeypatch.setattr(
            "qaip_core.rendering.live.last_block", lambda text: (_ for _ in ()).throw(BreaksError)
        )
        with pytest.raises(BreaksError):
            follow("Lit")
        assert terminal().cursor


@pytest.mark.parametrize("size", [(1, 1), (8, 2), (19, 3)])
def test_a_tiny_terminal_shows_an_answer_too(
    monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]
) -> None:
    with in_terminal(monkeypatch, width=size[0], height=size[1]) as terminal:
        follow(*words(LONG))
        assert terminal().unknown == []


@pytest.mark.parametrize("kind", ["pipe", "terminal", "notebook"])
def test_a_piece_costs_the_same_however_long_the_answer_is(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, kind: str
) -> None:
    if kind == "notebook":
        request.getfixturevalue("outputs")

    def cost(count: int) -> float:
        begun = time.process_time()
        with io.StringIO() as output:
            monkeypatch.setattr(sys, "stdout", output)
            if kind == "terminal":
                console = Console(file=output, force_terminal=True, width=80, height=24)
                monkeypatch.setattr(showing, "screen", lambda: live.TerminalScreen(console))
            showing.follow(iter(["ten chars "] * count), Counted())
        return (time.process_time() - begun) / count

    cost(100)
    assert cost(20_000) < 4 * cost(5_000)


class Counted(Reading):
    def add(self, piece: str) -> str:
        return piece

    def cited(self) -> CitedAnswer:
        return CitedAnswer("")


class Plain(Reading):
    def cited(self) -> CitedAnswer:
        return CitedAnswer(self.text)


@pytest.fixture
def outputs(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, Any]]]:
    """What the front end of a kernel is told to display."""
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])  # the shell sets its own
    config = Config()
    config.HistoryManager.enabled = False
    shell: Any = InteractiveShell.instance(config=config)
    shell.kernel = "a kernel"
    publisher: Any = CapturingDisplayPublisher
    shell.display_pub = publisher(parent=shell)
    yield shell.display_pub.outputs
    shell.restore_sys_module_state()
    InteractiveShell.clear_instance()


def test_a_notebook_shows_one_output_that_grows(outputs: list[dict[str, Any]]) -> None:
    def pieces() -> Iterator[str]:
        for piece in ("Lit ", "in **1847**", ".[1]"):
            yield piece
            time.sleep(0.1)

    assert showing.follow(pieces(), Reading()) == "Lit in **1847**.[1]"
    assert len({output["transient"]["display_id"] for output in outputs}) == 1
    assert [output.get("update", False) for output in outputs] == [False, True, True, True]
    assert "<p>Lit in <strong>1847</strong></p>" in outputs[1]["data"]["text/html"]
    assert "</strong>.<sup" in outputs[2]["data"]["text/html"]
    assert "<li" not in outputs[2]["data"]["text/html"]
    assert '<li id="qaip-' in outputs[3]["data"]["text/html"]
    assert outputs[3]["data"]["text/plain"] == f"Lit in **1847**.[1]\n\n{SOURCES}"


def test_a_notebook_is_not_told_of_every_word(outputs: list[dict[str, Any]]) -> None:
    begun = time.monotonic()
    follow(*words(LONG))
    assert len(outputs) <= 3 + 12 * (time.monotonic() - begun)
    assert "Paragraph 8" in outputs[-1]["data"]["text/html"]


def test_a_notebook_says_what_is_incomplete(outputs: list[dict[str, Any]]) -> None:
    with pytest.raises(BreaksError):
        showing.follow(breaking(), Reading())
    html = outputs[-1]["data"]["text/html"]
    assert "<p>Lit in</p>" in html
    assert "[Incomplete: BreaksError]" in html


def test_a_notebook_takes_back_what_the_service_does(outputs: list[dict[str, Any]]) -> None:
    follow("Secret.", "=Sorry.")
    assert "Secret" not in outputs[-1]["data"]["text/html"]


def test_a_notebook_shows_a_whole_answer(outputs: list[dict[str, Any]]) -> None:
    showing.show(CitedAnswer("Lit."))
    assert [output["data"]["text/plain"] for output in outputs] == ["Lit."]


@pytest.mark.usefixtures("outputs")
def test_objects_that_cite_show_themselves_after_they_were_registered() -> None:
    class Answer(str):
        __slots__ = ()

    def cited(value: str) -> CitedAnswer:
        return CitedAnswer(value, [{"id": "a"}] if value == "cites" else [])

    shell = InteractiveShell.instance()
    formatter: Any = shell.display_formatter
    notebook.register(shell, [Answer], cited)
    assert "qaip-sources" in formatter.format(Answer("cites"))[0]["text/html"]
    assert "text/html" not in formatter.format(Answer("does not"))[0]
    notebook.unregister(shell, [Answer])
    assert "text/html" not in formatter.format(Answer("cites"))[0]
