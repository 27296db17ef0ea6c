"""Text, Markdown and reStructuredText, kept as they are."""

import re

from ._content import Content, decoded, web_address

__all__ = ["read_text"]

_FRONT_MATTER = re.compile(r"\A---[ \t]*\n(.*?)^---[ \t]*$", re.DOTALL | re.MULTILINE)
_FACT = re.compile(r"^(title|url)[ \t]*:[ \t]*(\S[^\n]*?)[ \t]*$", re.MULTILINE)


def read_text(data: bytes) -> Content:
    """Read a text; `title` and `url` in its front matter are its own.

    Raises:
        Unreadable: the data is not text.
    """
    text = decoded(data)
    front = _FRONT_MATTER.match(text)
    facts = dict(_FACT.findall(front[1])) if front else {}
    title = facts.get("title", "").strip("\"'")
    return Content(text, title, web_address(facts.get("url", "")))
