"""The engines behind PAIS, as data: the keys of their answers in order, and their habits."""

import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from qaip_sandbox._wire import Json, compact, spaced

__all__ = ["ENGINES", "Engine", "Form"]


def _hex(prefix: str) -> Callable[[], str]:
    return lambda: prefix + uuid.uuid4().hex


def _uuid(prefix: str) -> Callable[[], str]:
    return lambda: prefix + str(uuid.uuid4())


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """One kind of answer: a text, or a chat.

    The strings name keys in the order in which the engine writes them: those of a `whole` answer
    and of a `chunk` of a stream, those of a `choice` and of a `part`, which is a choice in a chunk.
    `opening` is the delta that comes before all text, or None. `closing` are keys on the chunk with
    the finish reason, if no chunk with the usage follows; `counting` those of that chunk, or "" if
    there never is one. `stopping` are those of a chunk without text that tells of a stop word, or
    "" for no such chunk. `limit` is the number of tokens where a request does not give any.
    """

    id: Callable[[], str]
    whole: str
    chunk: str
    choice: str
    part: str
    opening: Json = None
    closing: str = ""
    counting: str = "usage"
    stopping: str = ""
    limit: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """One engine.

    `apart` says that the finish reason comes on a chunk without text. `usage` and `message` name
    keys in order. `null_usage` says that every chunk has a usage, which is null. `error` is the
    shape of its refusals, and of its failures in a stream, which it just ends if it has none.
    `strict_options` says that it refuses stream_options without a stream. `most` is the largest n,
    and `choices` how many an answer has at most, for an engine that ignores n. `counts_one` says
    that the usage is that of one choice: on the end of each its own, else that of the first.
    """

    text: Form
    chat: Form
    apart: bool = False
    newline: str = "\n"
    usage: str = "prompt_tokens completion_tokens total_tokens"
    message: str = "role content"
    null_usage: bool = False
    whole_type: str = "application/json"
    stream_type: str = "text/event-stream; charset=utf-8"
    write: Callable[[Json], bytes] = compact
    write_chunk: Callable[[Json], bytes] = compact
    ping: Callable[[], str] = lambda: ""
    error: Literal["vllm", "llama_server", ""] = "vllm"
    done_after_error: bool = False
    model_engine: str = "VLLM"
    most: int | None = None
    choices: int | None = None
    strict_options: bool = False
    counts_one: bool = False


def _stamp() -> str:
    return f": ping - {datetime.now(UTC)}"


def _pretty(value: Json) -> bytes:
    return json.dumps(value, indent=2, ensure_ascii=False).encode("utf-8", "replace") + b"\n"


_AGENT = "choices created id index_context_info model object session_id usage"
_LLAMA_TEXT = "choices created model system_fingerprint object usage id timings"
_LLAMA_CHUNK = "choices created id model system_fingerprint object usage timings"
_LLAMA_CHOICE = "text index logprobs finish_reason"
_OPENAI = "id object created model choices usage"

ENGINES: Mapping[str, Engine] = {
    "gateway": Engine(
        text=Form(
            id=_hex("cmpl-"),
            whole=_AGENT,
            chunk=_AGENT,
            choice="finish_reason index text",
            part="finish_reason index text",
        ),
        chat=Form(
            id=_hex("chatcmpl-"),
            whole=_AGENT,
            chunk=_AGENT,
            choice="finish_reason index message",
            part="delta finish_reason index",
            opening={"content": "", "role": "assistant"},
        ),
        newline="\r\n",
        usage="completion_tokens prompt_tokens total_tokens",
        message="content role",
        ping=_stamp,
    ),
    "vllm": Engine(
        text=Form(
            id=_hex("cmpl-"),
            whole=_OPENAI,
            chunk=_OPENAI,
            choice="index text logprobs finish_reason stop_reason",
            part="index text logprobs finish_reason stop_reason",
            limit=16,
        ),
        chat=Form(
            id=_hex("chatcmpl-"),
            whole=_OPENAI,
            chunk=_OPENAI,
            choice="index message logprobs finish_reason stop_reason",
            part="index delta logprobs finish_reason stop_reason",
            opening={"role": "assistant", "content": ""},
        ),
        usage="prompt_tokens total_tokens completion_tokens",
        null_usage=True,
        done_after_error=True,
        strict_options=True,
    ),
    "llama_server": Engine(
        text=Form(
            id=_hex("chatcmpl-"),
            whole=_LLAMA_TEXT,
            chunk=_LLAMA_TEXT,
            choice=_LLAMA_CHOICE,
            part=_LLAMA_CHOICE,
            closing="usage timings",
            counting="",
            stopping="timings",
        ),
        chat=Form(
            id=_hex("chatcmpl-"),
            whole=_LLAMA_TEXT,
            chunk=_LLAMA_CHUNK,
            choice="finish_reason index message",
            part="finish_reason index delta",
            opening={"role": "assistant", "content": None},
            closing="timings",
            counting="usage timings",
        ),
        apart=True,
        usage="completion_tokens prompt_tokens total_tokens prompt_tokens_details",
        whole_type="application/json; charset=utf-8",
        stream_type="text/event-stream",
        ping=lambda: ":",
        error="llama_server",
        model_engine="LLAMA_CPP",
        most=4,
        counts_one=True,
    ),
    "llama_cpp_python": Engine(
        text=Form(
            id=_uuid("cmpl-"),
            whole=_OPENAI,
            chunk=_OPENAI,
            choice=_LLAMA_CHOICE,
            part=_LLAMA_CHOICE,
            counting="",
            limit=16,
        ),
        chat=Form(
            id=_uuid("chatcmpl-"),
            whole=_OPENAI,
            chunk="id model created object choices",
            choice="index message logprobs finish_reason",
            part="index delta logprobs finish_reason",
            opening={"role": "assistant"},
            counting="",
        ),
        apart=True,
        message="content role",
        write_chunk=spaced,
        ping=_stamp,
        error="",
        model_engine="LLAMA_CPP",
        choices=1,
    ),
    "openai": Engine(
        text=Form(
            id=_hex("cmpl-"),
            whole=_OPENAI,
            chunk="id object created choices model usage",
            choice=_LLAMA_CHOICE,
            part=_LLAMA_CHOICE,
            limit=16,
        ),
        chat=Form(
            id=_hex("chatcmpl-"),
            whole=_OPENAI,
            chunk="id object created model choices usage",
            choice="index message logprobs finish_reason",
            part="index delta logprobs finish_reason",
            opening={"role": "assistant", "content": ""},
        ),
        apart=True,
        write=_pretty,
        stream_type="text/event-stream",
        model_engine="OPENAI",
    ),
}
"""By the name of the switch."""
