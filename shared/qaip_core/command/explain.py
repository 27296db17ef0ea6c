"""`qaip explain`: what the documentation says of an error, also without a network."""

from __future__ import annotations

import argparse
import difflib
import re
from importlib.resources import files
from pathlib import Path

from qaip_core.command.terminal import is_rich
from qaip_core.errors import ConfigurationError

__all__ = ["run", "sections"]

_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})")
_HEADING = re.compile(r"^(#{2,4}) +(.+?)(?: +#+)?$")
_COMMENT = re.compile(r"^<!--.*?-->\n", re.MULTILINE | re.DOTALL)


def run(options: argparse.Namespace) -> int:
    """Print a section of the page on errors, or what there is to be explained.

    Parameters:
        options: what the command line says.

    Returns:
        The exit code.

    Raises:
        ConfigurationError: the page has no such section.
    """
    known = sections(page())
    if options.name is None:
        for section in known.values():
            marks, _, title = section.partition("\n")[0].partition(" ")
            print("  " * (len(marks) - 2) + title.strip())
        return 0
    _print(known[_anchor_of(options.name, known)])
    return 0


def page() -> str:
    """Return the page on errors: that of this installation, else that of the checkout."""
    shipped = files("qaip_core") / "errors.md"
    if shipped.is_file():
        return shipped.read_text("utf-8")
    return (Path(__file__).resolve().parents[3] / "docs/errors.md").read_text("utf-8")


def sections(text: str) -> dict[str, str]:
    """Return the sections of a page by their anchors; each holds those below it.

    Parameters:
        text: Markdown.
    """
    lines = _COMMENT.sub("", text).splitlines()
    headings = _headings(lines)
    found: dict[str, str] = {}
    for place, (line, level, title) in enumerate(headings):
        rest = (start for start, other, _ in headings[place + 1 :] if other <= level)
        found[anchor(title)] = "\n".join(lines[line : next(rest, len(lines))]).strip() + "\n"
    return found


def _headings(lines: list[str]) -> list[tuple[int, int, str]]:
    """Return line, level and title of each heading that is not code."""
    found = []
    fence = ""
    for number, line in enumerate(lines):
        if mark := _FENCE.match(line):
            if not fence:
                fence = mark[1]
            elif mark[1].startswith(fence):
                fence = ""
        elif not fence and (heading := _HEADING.match(line)):
            found.append((number, len(heading[1]), heading[2]))
    return found


def anchor(title: str) -> str:
    """Return a heading's anchor, as code hosts make it."""
    words = re.sub(r"[^\w\- ]", "", title.lower())
    return words.strip().replace(" ", "-")


def _anchor_of(name: str, known: dict[str, str]) -> str:
    """Return the anchor that a name means: a class's name, with its module or not, or an anchor."""
    wanted = anchor(name.rpartition("#")[2])
    for candidate in (wanted, anchor(name.rpartition(".")[2])):
        if candidate in known:
            return candidate
    titles = {key: text.splitlines()[0].lstrip("# ") for key, text in known.items()}
    near = difflib.get_close_matches(wanted, known, 3)
    hint = f"Did you mean {' or '.join(titles[key] for key in near)}?" if near else ""
    raise ConfigurationError(f"no error is called {name!r}. {hint or '`qaip explain` lists them.'}")


def _print(section: str) -> None:
    if not is_rich():
        print(section, end="")
        return
    from rich.console import Console
    from rich.markdown import Markdown
    from rich.theme import Theme

    # rich's own code stands on black, which is a box on a light terminal
    console = Console(theme=Theme({"markdown.code": "bold cyan"}))
    # the links are names of other pages
    console.print(Markdown(section, hyperlinks=False, code_theme="ansi_dark"))
