"""Rows about messages: what stands in a history, and media."""

from __future__ import annotations

import json
from typing import Any

from llama_index.core.base.llms.types import (
    AudioBlock,
    CachePoint,
    CitableBlock,
    CitationBlock,
    DocumentBlock,
    ImageBlock,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
    VideoBlock,
)
from llama_index.core.llms import ChatMessage

from support.fault_server import FaultServer
from support.peers.check import Check, Part
from support.peers.llama_index.asking import asked
from support.peers.subject import Subject

__all__ = ["CHECKS"]

_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_URL = "data:image/png;base64,iVBORw0KGgo="
_PDF = b"%PDF-1.4\n"
_PDF_BASE64 = "JVBERi0xLjQK"


def _message(*blocks: Any, role: str = "user") -> ChatMessage:
    return ChatMessage(role=role, blocks=list(blocks))


def _history(*blocks: Any) -> Part:
    """An earlier answer with these blocks, and a new question."""

    def part(subject: Subject, server: FaultServer) -> None:
        turn = _message(TextBlock(text="In 1823."), *blocks, role="assistant")
        history = [ChatMessage("When?"), turn, ChatMessage("Where?")]
        _, sent, _ = asked(subject, server, history)["messages"]
        assert sent["content"] == "In 1823.", sent

    return part


def _called(subject: Subject, server: FaultServer) -> None:
    """An earlier answer that called a tool: with its text goes the call, in whatever form."""
    called = ToolCallBlock(tool_call_id="1", tool_name="tide", tool_kwargs={})
    turn = _message(TextBlock(text="In 1823."), called, role="assistant")
    _, sent, _ = asked(subject, server, [ChatMessage("When?"), turn, ChatMessage("Where?")])[
        "messages"
    ]
    assert sent["content"].startswith("In 1823."), sent
    assert "tide" in json.dumps(sent), sent


def _reasoning_sent(subject: Subject, server: FaultServer) -> None:
    turn = _message(ThinkingBlock(content="hm"), TextBlock(text="In 1823."), role="assistant")
    history = [ChatMessage("When?"), turn, ChatMessage("Where?")]
    _, sent, _ = asked(subject, server, history)["messages"]
    assert sent.get("reasoning_content") == "hm", sent


_CITATION = CitationBlock(
    cited_content=TextBlock(text="In 1823."),
    source="https://lights.example",
    title="Lights",
    additional_location_info={},
)


def _roles(subject: Subject, server: FaultServer, *roles: str) -> list[str]:
    prompt = [ChatMessage(role=role, content=str(i)) for i, role in enumerate(roles)]
    return [turn["role"] for turn in asked(subject, server, prompt)["messages"]]


def _neighbours(subject: Subject, server: FaultServer) -> None:
    found = _roles(subject, server, "user", "user", "assistant", "assistant", "user")
    assert found == ["user", "assistant", "user"], found


def _late_system(subject: Subject, server: FaultServer) -> None:
    found = _roles(subject, server, "user", "assistant", "system", "user")
    assert found == ["system", "user", "assistant", "user"], found


def _sent_part(subject: Subject, server: FaultServer, block: Any) -> Any:
    prompt = [_message(TextBlock(text="What is this?"), block)]
    return asked(subject, server, prompt)["messages"][0]["content"][1]


def _image(block: ImageBlock, url: str) -> Part:
    def part(subject: Subject, server: FaultServer) -> None:
        sent = _sent_part(subject, server, block)
        assert sent["type"] == "image_url", sent
        assert sent["image_url"]["url"] == url, sent

    return part


def _document(subject: Subject, server: FaultServer) -> None:
    block = DocumentBlock(data=_PDF, title="chart.pdf", document_mimetype="application/pdf")
    sent = _sent_part(subject, server, block)
    if "sonar" in subject.traits:
        assert sent["type"] == "file_url", sent
        url = sent["file_url"]
        assert (url["url"] if isinstance(url, dict) else url) == _PDF_BASE64  # bare
    else:
        assert sent["type"] == "file", sent
        assert sent["file"]["file_data"].endswith(_PDF_BASE64)


def _video(subject: Subject, server: FaultServer) -> None:
    url = "https://v.example/lamp.mp4"
    sent = _sent_part(subject, server, VideoBlock(url=url, video_mimetype="video/mp4"))
    assert sent["type"] == "video_url", sent
    assert sent["video_url"]["url"] == url, sent


def _audio(subject: Subject, server: FaultServer) -> None:
    sent = _sent_part(subject, server, AudioBlock(audio=b"RIFF", format="wav"))
    assert sent["type"] == "input_audio", sent


def _citable(subject: Subject, server: FaultServer) -> None:
    text = TextBlock(text="First lit in 1823.")
    block = CitableBlock(title="Lights", source="https://lights.example", content=[text])
    turns = asked(subject, server, [_message(TextBlock(text="When?"), block)])["messages"]
    assert "First lit in 1823." in str(turns), turns


_SONAR = frozenset({"sonar"})
_PERPLEXITY = frozenset({"perplexity"})
_FIREWORKS = frozenset({"fireworks"})
_NOT_OURS = frozenset({"openai", "fireworks", "perplexity"})

CHECKS = (
    Check(
        "history_citations",
        "A history with `CitationBlock`s",
        {"": _history(_CITATION)},
        defect_of=_NOT_OURS,
    ),
    Check(
        "history_thinking",
        "A history with `ThinkingBlock`s",
        {"": _history(ThinkingBlock(content="hm"))},
    ),
    Check(
        "history_reasoning",
        "... goes back as `reasoning_content`",
        {"": _reasoning_sent},
        needs=_FIREWORKS,
        defect_of=_FIREWORKS,
    ),
    Check(
        "history_tools",
        "A history with another model's tool call",
        {"": _called},
        note="It is not known whether Perplexity's service takes such turns; ours writes them as "
        "text.",
    ),
    Check(
        "history_cache",
        "A history with `CachePoint`s",
        {"": _history(CachePoint(cache_control={"type": "ephemeral"}))},
        defect_of=_NOT_OURS,
    ),
    Check(
        "neighbours",
        "Neighbours of one role are joined",
        {"": _neighbours},
        needs=_SONAR,
        defect_of=_PERPLEXITY,
        note="Perplexity refuses two user messages in a row.",
    ),
    Check(
        "late_system",
        "A late system message is moved to the front",
        {"": _late_system},
        needs=_SONAR,
        defect_of=_PERPLEXITY,
    ),
    Check(
        "images",
        "`ImageBlock`",
        {
            "by URL": _image(
                ImageBlock(url="https://i.example/lamp.png"), "https://i.example/lamp.png"
            ),
            "as bytes": _image(ImageBlock(image=_PNG, image_mimetype="image/png"), _PNG_URL),
        },
    ),
    Check(
        "pdf",
        "`DocumentBlock` with a PDF",
        {"": _document},
        needs=frozenset({"pdf"}),
        defect_of=_PERPLEXITY,
    ),
    Check("video", "`VideoBlock`", {"": _video}, needs=frozenset({"video"})),
    Check("audio", "`AudioBlock`", {"": _audio}, needs=frozenset({"audio"})),
    Check("citable", "`CitableBlock`, as text", {"": _citable}),
)
