"""The code blocks of a page, and what the comments before them say of how they are run.

A comment is HTML, so that no reader sees it, and stands right before its block:

    <!-- prints -->           the block (text, json) is what the block of Python or shell before it
                              printed; `...` stands for anything
    <!-- raises: Error -->    the block ends with this error; what the error says can follow in a
                              block that `prints` it
    <!-- file: app.py -->     the block is a file of this name beside the documents; Python is
                              run as well, unless it defines tests: those are run by pytest,
                              by the page's own line `pytest` where one follows
    <!-- serves: URL -->      the block runs until the page ends, the next one when URL answers;
                              a free port takes the place of this one, on the whole page
    <!-- in: environment -->  the block is for another environment, see test_migration.py;
                              `environment today`: on the sandbox of the page itself
    <!-- prints: both -->     (behind such a block and its successor) what both of them printed
    <!-- not run: reason -->  the block is only read

and anywhere on a page, for all of it:

    <!-- sandbox: {"dify": {"app": "chat"}} -->    arguments of Sandbox
    <!-- sandbox before: {...} -->                 those for blocks of other environments
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt

__all__ = ["Block", "Page"]

_COMMENT = re.compile(r"<!--\s*([a-z][a-z ]*?)(?::\s*(.*?))?\s*-->", re.DOTALL)
_KNOWN = ("prints", "raises", "file", "serves", "in", "not run")


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Parameters:
        language: the first word after the fence.
        code: what it holds.
        line: where the code begins in the page, from 1.
        said: what the comments before it say, by their first words.
    """

    language: str
    code: str
    line: int
    said: Mapping[str, str]


class Page:
    """A page of the documentation."""

    def __init__(self, path: Path) -> None:
        self.path = path
        text = path.read_text("utf-8")
        self.blocks: list[Block] = []
        self.sandbox: dict[str, Any] = {}
        self.former: dict[str, Any] = {}
        said: dict[str, str] = {}
        for token in MarkdownIt().parse(text):
            if token.type == "html_block":
                for name, value in _COMMENT.findall(token.content):
                    if name == "sandbox":
                        self.sandbox = json.loads(value)
                    elif name == "sandbox before":
                        self.former = json.loads(value)
                    elif name in _KNOWN:
                        said[name] = value
            elif token.type == "fence" and token.map:
                language = token.info.split()[0] if token.info.strip() else ""
                self.blocks.append(Block(language, token.content, token.map[0] + 2, said))
                said = {}
            elif not token.type.endswith("_close"):
                assert not said or token.hidden, f"{path}: {said} stands before no block"
