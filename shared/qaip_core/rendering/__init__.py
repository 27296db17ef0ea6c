"""Answers with their sources, as people look at them: in a terminal, a notebook, as Markdown.

`CitedAnswer` holds an answer; the other modules write it, each in one form, and are imported when
it is wanted. What they show is foreign text: see `qaip_core.rendering.harmless`.
"""

from qaip_core.rendering.answer import CitedAnswer

__all__ = ["CitedAnswer"]
