"""Facts about what stands beside the text: sources, and reasoning."""

# ruff: noqa: S101 -- a test is made of asserts

from __future__ import annotations

import json
from typing import ClassVar

from llama_index.core.base.llms.types import CitationBlock, TextBlock, ThinkingBlock

from llama_index_qaip.testing._bench import (
    Bench,
    every_call,
    every_chat,
    every_stream_chat,
    every_text,
    text_of,
)
from llama_index_qaip.testing._contract import Contract, needs
from llama_index_qaip.testing._script import SOURCES

__all__ = ["SourceFacts"]

_THOUGHT = "Lamps were lit early in the year."


class SourceFacts(Contract):
    """Where an answer's sources and its reasoning are.

    Attributes:
        cites_urls: whether the service names the addresses of its sources, not only titles.
        citation_switch: the constructor argument that keeps messages free of `CitationBlock`;
            "" if there is none.
        reasons: whether the service's models may show their reasoning.
    """

    cites_urls: ClassVar[bool] = True
    citation_switch: ClassVar[str] = ""
    reasons: ClassVar[bool] = False

    @every_chat
    @needs(cites=True)
    def test_each_source_is_a_citation_block_in_the_service_s_order(
        self, bench: Bench, call: str
    ) -> None:
        bench.service.answers(self.answer())
        blocks = _citations(bench.last(call).message.blocks)
        assert [block.title for block in blocks] == [source.title for source in SOURCES]
        assert [block.cited_content for block in blocks] == [
            TextBlock(text=source.text) for source in SOURCES
        ]
        places = [source.url if self.cites_urls else source.title for source in SOURCES]
        assert [block.source for block in blocks] == places

    @every_chat
    @needs(cites=True)
    def test_places_of_citations_are_numbers_inside_the_text(self, bench: Bench, call: str) -> None:
        bench.service.answers(self.answer(pieces=("In ", "1823.", "[1][2]")))
        message = bench.last(call).message
        for block in _citations(message.blocks):
            place = block.additional_location_info
            assert all(type(value) is int for value in place.values())
            start, end = place.get("start_index", 0), place.get("end_index", 1)
            assert 0 <= start < end <= len(message.content)

    @every_call
    @needs(good_practice=True, cites=True)
    def test_sources_are_plain_data_in_additional_kwargs(self, bench: Bench, call: str) -> None:
        bench.service.answers(self.answer())
        citations = bench.last(call).additional_kwargs["citations"]
        assert json.loads(json.dumps(citations)) == citations
        assert len(citations) == len(SOURCES)
        for citation, source in zip(citations, SOURCES, strict=True):
            assert source.title in json.dumps(citation)

    @every_chat
    @needs(good_practice=True, cites=True, citation_switch=True)
    def test_citation_blocks_can_be_switched_off(self, bench: Bench, call: str) -> None:
        bench.service.answers(self.answer())
        answer = bench.last(call, llm=bench.make(**{self.citation_switch: False}))
        assert answer.message.blocks == [TextBlock(text=self.answer().text)]
        assert len(answer.additional_kwargs["citations"]) == len(SOURCES)

    @every_chat
    @needs(reasons=True)
    def test_reasoning_is_a_block_before_the_text(self, bench: Bench, call: str) -> None:
        bench.service.answers(self.answer(reasoning=_THOUGHT, sources=()))
        thinking, text = bench.last(call).message.blocks
        assert isinstance(thinking, ThinkingBlock)
        assert thinking.content == _THOUGHT
        assert text == TextBlock(text=self.answer().text)

    @every_stream_chat
    @needs(reasons=True)
    def test_reasoning_is_shown_while_it_grows(self, bench: Bench, call: str) -> None:
        bench.service.answers(self.answer(reasoning=_THOUGHT))
        seen = bench.ask(call)
        shown = [response.additional_kwargs.get("thinking_delta") or "" for response in seen]
        assert "".join(shown) == _THOUGHT
        assert all(_THOUGHT not in (text_of(response) or "") for response in seen)

    @every_text
    @needs(reasons=True)
    def test_a_text_is_free_of_reasoning(self, bench: Bench, call: str) -> None:
        bench.service.answers(self.answer(reasoning=_THOUGHT))
        assert bench.last(call).text == self.answer().text


def _citations(blocks: list[object]) -> list[CitationBlock]:
    return [block for block in blocks if isinstance(block, CitationBlock)]
