"""Pages in CommonMark, which code hosts read, in the words of Python-Markdown, which MkDocs reads.

Fenced blocks stand at the margin, not inside of lists.
"""

from __future__ import annotations

import re
from collections.abc import Callable

__all__ = ["outside_fences", "worded"]

_FENCE = re.compile(r"^(?P<indent> *)(?P<marks>`{3,}|~{3,})(?P<language>[^\s`]*)[^\n`]*$")
_COMMENT = re.compile(r"<!--\s*(?P<word>[a-z][a-z ]*?)(?::\s*(?P<value>.*?))?\s*-->\n?", re.DOTALL)
_ITEM = re.compile(r"^ *(?:[-*+]|\d+[.)]) +")


def _split(markdown: str) -> list[tuple[bool, str]]:
    """Return the page in pieces, each with whether it is a fenced block."""
    pieces: list[tuple[bool, list[str]]] = [(False, [])]
    marks = ""
    for line in markdown.splitlines(keepends=True):
        fence = _FENCE.match(line.rstrip("\n"))
        if not marks and fence:
            marks = fence["marks"]
            pieces.append((True, [line]))
            continue
        pieces[-1][1].append(line)
        if marks and fence and not fence["language"] and fence["marks"].startswith(marks):
            marks = ""
            pieces.append((False, []))
    return [(fenced, "".join(lines)) for fenced, lines in pieces]


def outside_fences(markdown: str, change: Callable[[str], str]) -> str:
    """Return the page with its text changed, and its fenced blocks as they were."""
    return "".join(text if fenced else change(text) for fenced, text in _split(markdown))


def worded(markdown: str) -> str:
    """Return a page whose lists and blocks mean in the site what they mean on a code host.

    The comments that say how a block is tested become how it looks: a file has its name above it,
    what was printed looks like an output.
    """
    out: list[str] = []
    said: dict[str, str] = {}
    for fenced, text in _split(markdown):
        if fenced:
            out.append(_block(text, said))
            said = {}
        else:
            said = {m["word"]: m["value"] or "" for m in _COMMENT.finditer(text)}
            out.append(_lists(_COMMENT.sub("", text)))
    return "".join(out)


def _block(text: str, said: dict[str, str]) -> str:
    """Return a fenced block that looks like what it is."""
    first, rest = text.split("\n", 1)
    before, language = re.split(r"(?<=[`~])(?![`~])", first, maxsplit=1)
    name = language.split()[0] if language.strip() else "text"
    if "prints" in said:
        return f"{before} {{ .{name} .output }}\n{rest}"
    if file := said.get("file"):
        return f'{before}{name} title="{file}"\n{rest}'
    return f"{before}{language.strip() or 'text'}\n{rest}"


def _lists(text: str) -> str:
    """Put an empty line before each list, and indent what is inside of one by four."""
    out: list[str] = []
    indents: list[int] = []  # of the items that are open, as the page has them
    before = ""
    for line in text.splitlines(keepends=True):
        is_item = bool(_ITEM.match(line))
        indent = len(line) - len(line.lstrip(" "))
        while indents and line.strip() and indent <= indents[-1] and (is_item or not before):
            indents.pop()
        if is_item and before and not indents and not _ITEM.match(before):
            out.append("\n")
        inside = indents and line.strip()
        out.append("    " * len(indents) + line.lstrip(" ") if inside else line)
        if is_item:
            indents.append(indent)
        before = line.strip()
    return "".join(out)
