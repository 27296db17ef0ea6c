"""Text, Markdown and reStructuredText, kept as they are."""

import re

from qaip_sandbox.chunking import front_matter

from ._content import Content, decoded, web_address

__all__ = ["read_text"]

_FACT = re.compile(r"^(title|url)[ \t]*+:([^\n]*)$", re.MULTILINE)


def read_text(data: bytes) -> Content:
    """Read a text; `title` and `url` in its front matter are its own.

    Raises:
        Unreadable: the data is not text.
    """
    text = decoded(data)
    front = front_matter(text)
    facts = dict(_FACT.findall(front["facts"])) if front else {}
    title = facts.get("title", "").strip().strip("\"'")
    return Content(text, title, web_address(facts.get("url", "")))
