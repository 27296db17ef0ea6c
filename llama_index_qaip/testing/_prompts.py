"""Facts about prompts: what predict adds, what a history may hold, what is never dropped."""

# ruff: noqa: S101 -- a test is made of asserts

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import pytest
from llama_index.core.base.llms.generic_utils import messages_to_prompt
from llama_index.core.base.llms.types import (
    AudioBlock,
    CacheControl,
    CachePoint,
    ChatMessage,
    CitationBlock,
    DocumentBlock,
    ImageBlock,
    MessageRole,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
    VideoBlock,
)
from llama_index.core.chat_engine import SimpleChatEngine
from llama_index.core.prompts import PromptTemplate
from llama_index.core.types import BaseOutputParser

from llama_index_qaip.testing._bench import (
    Bench,
    both_lanes,
    every_chat,
    every_whole,
    text_of,
)
from llama_index_qaip.testing._contract import Contract, needs
from llama_index_qaip.testing._memory import ListMemory

__all__ = ["PromptFacts", "said_by"]

_RULE = "Be brief as a lamp."
_PROMPT = PromptTemplate("When was {what} lit?")
_PIXEL = b"\x89PNG\r\n\x1a\n a picture"
_MEDIA: Mapping[str, Any] = {
    "audio": AudioBlock(audio=base64.b64encode(b"sound"), format="wav"),
    "video": VideoBlock(video=base64.b64encode(b"film"), video_mimetype="video/mp4"),
    "document": DocumentBlock(
        data=base64.b64encode(b"paper"), document_mimetype="application/pdf", title="paper.pdf"
    ),
}
_BYTES = {"audio": b"sound", "video": b"film", "document": b"paper"}
_EARLIER: Mapping[str, Sequence[Any]] = {
    "citations": [
        TextBlock(text="In 1823."),
        CitationBlock(
            cited_content=TextBlock(text="x"), source="s", title="t", additional_location_info={}
        ),
    ],
    "reasoning": [ThinkingBlock(content="Let me see."), TextBlock(text="In 1823.")],
    "a cache mark": [
        TextBlock(text="In 1823."),
        CachePoint(cache_control=CacheControl(type="ephemeral")),
    ],
}

_REFUSALS = (ValueError, TypeError, NotImplementedError)
"""What is raised for messages that cannot be sent."""


class _Shouting(BaseOutputParser):
    def parse(self, output: str) -> Any:
        return output.upper()

    def format(self, query: str) -> str:
        return f"{query} Whisper."


class PromptFacts(Contract):
    """What is sent of messages and prompts.

    Attributes:
        takes_images: whether the service takes pictures.
    """

    takes_images: ClassVar[bool] = False

    @pytest.mark.parametrize("name", ["predict", "apredict", "stream", "astream"])
    def test_prompts_are_answered_behind_the_system_prompt(self, bench: Bench, name: str) -> None:
        bench.service.answers(self.answer())
        llm = bench.make(system_prompt=_RULE)
        given = bench.call(llm, name, _PROMPT, what="the lamp")
        assert "".join(given) == self.answer().text
        (request,) = bench.service.requests
        assert request.says("When was the lamp lit?")
        assert str(request.body).count(_RULE) == 1

    @every_whole
    def test_a_call_without_a_prompt_template_sends_what_it_gets(
        self, bench: Bench, call: str
    ) -> None:
        bench.service.answers(self.answer())
        bench.ask(call, llm=bench.make(system_prompt=_RULE))
        assert not bench.service.requests[0].says(_RULE)

    @both_lanes
    def test_predict_applies_an_output_parser(self, bench: Bench, a: str) -> None:
        bench.service.answers(self.answer())
        llm = bench.make(output_parser=_Shouting())
        given = bench.call(llm, f"{a}predict", _PROMPT, what="the lamp")
        assert given == self.answer().text.upper()
        assert bench.service.requests[0].says("Whisper.")

    @every_chat
    def test_an_answer_adds_nothing_but_its_text_to_the_next_prompt(
        self, bench: Bench, call: str
    ) -> None:
        bench.service.answers(self.answer())
        answer = bench.last(call).message
        history = [ChatMessage("q"), answer, ChatMessage("and?")]
        assert messages_to_prompt(history) == (
            f"user: q\nassistant: {self.answer().text}\nuser: and?\nassistant: "
        )
        bench.ask(call, history)
        body = str(bench.service.requests[-1].body)
        assert "additional_kwargs" not in body
        assert bench.service.requests[-1].says(self.answer().text)

    @pytest.mark.parametrize("kind", _EARLIER)
    @pytest.mark.parametrize("call", ["chat", "achat", "stream_chat"])
    def test_a_history_may_hold(self, bench: Bench, call: str, kind: str) -> None:
        bench.service.answers(self.answer())
        answer = ChatMessage(role=MessageRole.ASSISTANT, blocks=list(_EARLIER[kind]))
        history = [ChatMessage("q"), answer, ChatMessage("and?")]
        assert text_of(bench.last(call, history)) == self.answer().text
        assert bench.service.requests[0].says("In 1823.")

    @every_chat
    def test_a_history_may_hold_tool_calls_and_results(self, bench: Bench, call: str) -> None:
        """Also that of a model without tools: another one may have called them."""
        bench.service.answers(self.answer())
        asked = ToolCallBlock(
            tool_call_id="call_a1", tool_name="tide", tool_kwargs={"harbour": "Bergen"}
        )
        history = [
            ChatMessage("q"),
            ChatMessage(role=MessageRole.ASSISTANT, blocks=[asked]),
            ChatMessage("high", role="tool", additional_kwargs={"tool_call_id": "call_a1"}),
        ]
        assert text_of(bench.last(call, history)) == self.answer().text
        for text in ("tide", "Bergen", "high"):
            assert bench.service.requests[0].says(text)

    def test_all_text_blocks_are_sent(self, bench: Bench) -> None:
        bench.service.answers(self.answer())
        bench.ask("chat", [ChatMessage([TextBlock(text="first"), TextBlock(text="second")])])
        assert bench.service.requests[0].says("first")
        assert bench.service.requests[0].says("second")

    @needs(takes_images=True)
    def test_an_image_is_sent_by_its_address_or_whole(self, bench: Bench) -> None:
        bench.service.answers(self.answer())
        for image in _images():
            bench.ask("chat", [ChatMessage([TextBlock(text="q"), image])])
        by_address, _ = bench.service.requests
        assert by_address.says("https://img.example/a.png")
        assert bench.sent(_PIXEL)

    @needs(takes_images=False)
    def test_an_image_is_refused_before_anything_is_sent(self, bench: Bench) -> None:
        bench.service.answers(self.answer())
        for image in _images():
            failure = bench.fails(bench.make(), "chat", [ChatMessage([image])])
            assert isinstance(failure.error, (self.error_class, *_REFUSALS))
        assert bench.service.requests == []

    @pytest.mark.parametrize("kind", _MEDIA)
    @pytest.mark.parametrize("call", ["chat", "achat"])
    def test_media_are_sent_or_refused_but_never_dropped(
        self, bench: Bench, call: str, kind: str
    ) -> None:
        bench.service.answers(self.answer())
        messages = [ChatMessage([TextBlock(text="q"), _MEDIA[kind]])]
        try:
            bench.ask(call, messages)
        except _REFUSALS:
            assert bench.service.requests == []
        else:
            assert bench.sent(_BYTES[kind])

    @pytest.mark.parametrize("call", ["chat", "achat", "stream_chat", "astream_chat"])
    def test_a_chat_engine_remembers_the_first_turn(self, bench: Bench, call: str) -> None:
        bench.service.answers(self.answer(), self.answer(pieces=("And ", "in 1911.")))
        engine = SimpleChatEngine.from_defaults(llm=bench.make(), memory=ListMemory())
        said = [said_by(bench, engine, call, turn) for turn in ("When?", "And then?")]
        assert said == [self.answer().text, "And in 1911."]
        (_, second) = bench.service.requests
        for text in ("When?", self.answer().text, "And then?"):
            assert second.says(text)
        assert "citations" not in str(second.body)


def _images() -> list[ImageBlock]:
    whole = ImageBlock(image=base64.b64encode(_PIXEL), image_mimetype="image/png")
    return [ImageBlock(url="https://img.example/a.png"), whole]


def said_by(bench: Bench, engine: Any, call: str, turn: str) -> str:
    """Return what a chat engine says; its streams end when they have been written to memory."""
    if call == "astream_chat":

        async def work() -> str:
            response = await engine.astream_chat(turn)
            return "".join([token async for token in response.async_response_gen()])

        return str(bench.run(work()))
    response = bench.call(engine, call, turn)
    return "".join(response.response_gen) if call == "stream_chat" else str(response)
