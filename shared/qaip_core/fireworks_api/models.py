"""What the service answers, under the Fireworks client's class names.

Keys that are not declared here (``perf_metrics``, ``raw_output``, ...) are kept as attributes.
A body may leave out what a class requires where services are known to.

Vendor pages: https://docs.fireworks.ai/api-reference/post-completions,
https://docs.fireworks.ai/api-reference/post-chatcompletions
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    ValidationInfo,
    model_serializer,
    model_validator,
)

from qaip_core.backends.fireworks import FIREWORKS
from qaip_core.errors import MalformedResponseError
from qaip_core.fireworks_api import connections
from qaip_core.fireworks_api.errors import translated_errors
from qaip_core.fireworks_api.log import logger
from qaip_core.operation import Operation

__all__ = [
    "ChatCompletionResponse",
    "ChatCompletionResponseChoice",
    "ChatCompletionResponseStreamChoice",
    "ChatCompletionStreamResponse",
    "ChatMessage",
    "Choice",
    "CompletionResponse",
    "CompletionResponseStreamChoice",
    "CompletionStreamResponse",
    "DeltaMessage",
    "ListModelsResponse",
    "LogProbs",
    "Model",
    "ToolCall",
    "ToolCallFunction",
    "UsageInfo",
    "read",
]

_READING = object()
"""Validation context that says: this is a body, not a constructor's arguments."""

M = TypeVar("M", bound=BaseModel)


class _Body(BaseModel):
    model_config = ConfigDict(extra="allow", hide_input_in_errors=True, protected_namespaces=())

    usual: ClassVar[Mapping[str, Any]] = {}
    """What a body means that leaves these keys out, or sends null."""

    @model_validator(mode="before")
    @classmethod
    def _complete(cls, data: Any, info: ValidationInfo) -> Any:
        if info.context is not _READING or not isinstance(data, dict):
            return data
        return {
            **cls.usual,
            **{k: v for k, v in data.items() if v is not None or k not in cls.usual},
        }


def read(model: type[M], body: Any) -> M:
    """Return a body as the class.

    Raises:
        MalformedResponseError: it has another shape.
    """
    try:
        return model.model_validate(body, context=_READING)
    except ValidationError as error:
        faults = ", ".join(".".join(map(str, e["loc"])) or "body" for e in error.errors())
        raise MalformedResponseError(
            f"a body of another shape than documented (at {faults})", body=body
        ) from error


class LogProbs(_Body):
    """Log-probabilities of the answer's tokens, in the older format.

    Parameters:
        tokens: the tokens.
        token_logprobs: one for each; None where there is none, as for a prompt's first token.
        top_logprobs: the most likely tokens at each place.
        text_offset: where each token begins, in characters.
    """

    usual: ClassVar[Mapping[str, Any]] = dict.fromkeys(
        ("tokens", "token_logprobs", "top_logprobs", "text_offset"), ()
    )

    tokens: list[str] = Field(default_factory=list)
    token_logprobs: list[float | None] = Field(default_factory=list)
    top_logprobs: list[dict[str, float] | None] = Field(default_factory=list)
    text_offset: list[int] = Field(default_factory=list)


class UsageInfo(_Body):
    """Token counts of one request.

    Parameters:
        prompt_tokens: tokens of the prompt.
        total_tokens: tokens of prompt and answer.
        completion_tokens: tokens of the answer.
    """

    prompt_tokens: int
    total_tokens: int
    completion_tokens: int | None = None


class Choice(_Body):
    """One of the texts that answer a prompt.

    Parameters:
        index: which of them, from 0.
        text: the text.
        logprobs: where asked for.
        finish_reason: "stop" (a natural end or a stop sequence), "length" (max_tokens), "error".
    """

    usual: ClassVar[Mapping[str, Any]] = {"index": 0, "text": ""}

    index: int
    text: str
    logprobs: LogProbs | None = None
    finish_reason: str | None = None


class CompletionResponseStreamChoice(Choice):
    """What one event adds to one of the texts; fields as in `Choice`."""


class CompletionResponse(_Body):
    """The answer of `Completion`.

    Parameters:
        id: the service's id of the answer.
        object: "text_completion".
        created: Unix seconds.
        model: the model that answered.
        choices: one for each prompt and each of ``n``.
        usage: token counts; None where a server sends none.
    """

    usual: ClassVar[Mapping[str, Any]] = {"object": "text_completion", "usage": None}

    id: str
    object: str
    created: int
    model: str
    choices: list[Choice]
    usage: UsageInfo | None


class CompletionStreamResponse(_Body):
    """One event of the streamed answer of `Completion`; fields as in `CompletionResponse`."""

    usual: ClassVar[Mapping[str, Any]] = {"object": "text_completion", "choices": ()}

    id: str
    object: str
    created: int
    model: str
    choices: list[CompletionResponseStreamChoice]
    usage: UsageInfo | None = None


class _Sparse(_Body):
    """A body whose later fields are None where nobody set them, and then stay out of dumps.

    Code asks `if message.tool_calls`, and sends dumps of messages back: the service refuses null.
    """

    later: ClassVar[frozenset[str]] = frozenset()

    @model_serializer(mode="wrap")
    def _said(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        dump: dict[str, Any] = handler(self)
        unsaid = self.later - self.model_fields_set
        return {name: value for name, value in dump.items() if name not in unsaid}


class ToolCallFunction(_Sparse):
    """The function that a model asks for.

    Parameters:
        name: its name; None in the later pieces of a stream.
        arguments: JSON, or a piece of it.
    """

    later: ClassVar[frozenset[str]] = frozenset({"name", "arguments"})

    name: str | None = None
    arguments: str | dict[str, Any] | None = None


class ToolCall(_Sparse):
    """One call that a model asks for, or a piece of it.

    Parameters:
        id: what the result of the call names.
        type: "function".
        index: to which call a piece of a stream belongs.
        function: what is called, with which arguments.
    """

    usual: ClassVar[Mapping[str, Any]] = {"type": "function"}
    later: ClassVar[frozenset[str]] = frozenset({"id", "index", "function"})

    id: str | None = None
    type: str = "function"
    index: int | None = None
    function: ToolCallFunction | None = None


class ChatMessage(_Sparse):
    """One turn of a conversation.

    Parameters:
        role: "system", "user", "assistant" or "tool".
        content: text, or parts; None where a message holds tool calls only.
        reasoning_content: what a model thought before it answered.
        tool_calls: what it asks for.
        tool_call_id: which call a message of the role "tool" answers.
        name: sent as it is.
    """

    usual: ClassVar[Mapping[str, Any]] = {"content": None}
    later: ClassVar[frozenset[str]] = frozenset(
        {"reasoning_content", "tool_calls", "tool_call_id", "name"}
    )

    role: str
    content: str | list[dict[str, Any]] | None
    reasoning_content: str | None = None
    tool_calls: list[ToolCall] | None = None
    tool_call_id: str | None = None
    name: str | None = None


class ChatCompletionResponseChoice(_Body):
    """One of the turns that answer a conversation.

    Parameters:
        index: which of them, from 0.
        message: the turn.
        finish_reason: "stop", "length", "tool_calls".
    """

    usual: ClassVar[Mapping[str, Any]] = {"index": 0}

    index: int
    message: ChatMessage
    finish_reason: str | None = None


class ChatCompletionResponse(_Body):
    """The answer of `ChatCompletion`.

    Parameters:
        id: the service's id of the answer.
        object: "chat.completion".
        created: Unix seconds.
        model: the model that answered.
        choices: as many as ``n`` asked for.
        usage: token counts, where sent.
    """

    usual: ClassVar[Mapping[str, Any]] = {"object": "chat.completion"}

    id: str
    object: str
    created: int
    model: str
    choices: list[ChatCompletionResponseChoice]
    usage: UsageInfo | None = None


class DeltaMessage(_Sparse):
    """What one event adds to a turn.

    Parameters:
        role: on the first event of a turn.
        content: text.
        reasoning_content: what a model thinks before it answers.
        tool_calls: pieces of the calls that it asks for.
    """

    later: ClassVar[frozenset[str]] = frozenset({"reasoning_content", "tool_calls"})

    role: str | None = None
    content: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[ToolCall] | None = None


class ChatCompletionResponseStreamChoice(_Body):
    """What one event adds to one of the turns.

    Parameters:
        index: which of them, from 0.
        delta: the addition.
        finish_reason: on the last event of a turn; see `ChatCompletionResponseChoice`.
    """

    usual: ClassVar[Mapping[str, Any]] = {"index": 0, "delta": {}}

    index: int
    delta: DeltaMessage
    finish_reason: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_message(cls, data: Any) -> Any:
        """Read the whole turn of a server that did not stream as the only addition."""
        if isinstance(data, dict) and "message" in data and "delta" not in data:
            return {**data, "delta": data["message"]}
        return data


class ChatCompletionStreamResponse(_Body):
    """One event of the streamed answer of `ChatCompletion`; ``object`` may end in ".chunk"."""

    usual: ClassVar[Mapping[str, Any]] = {"object": "chat.completion.chunk", "choices": ()}

    id: str
    object: str
    created: int
    model: str
    choices: list[ChatCompletionResponseStreamChoice]
    usage: UsageInfo | None = None


class Model(_Body):
    """A model that the service offers.

    Parameters:
        id: the name to pass as ``model``.
        object: "model".
        created: Unix seconds.
    """

    usual: ClassVar[Mapping[str, Any]] = {"object": "model"}

    id: str
    object: str
    created: int

    @classmethod
    def list(cls, request_timeout: float | None = 60) -> ListModelsResponse:
        """Return the models that the key may use.

        Parameters:
            request_timeout: seconds of silence allowed; None for no limit.

        Raises:
            FireworksError: the call failed.
            ConfigurationError: there is no key, or the base URL cannot be used.
        """
        settings = connections.settings(request_timeout)
        logger.debug("GET %s%s", settings.base_url, _MODELS.path)
        with translated_errors():
            return connections.client(settings).fetch(_MODELS)


class ListModelsResponse(_Body):
    """The answer of `Model.list`.

    Parameters:
        object: "list".
        data: the models.
    """

    usual: ClassVar[Mapping[str, Any]] = {"object": "list"}

    object: str
    data: list[Model]


_MODELS = Operation(backend=FIREWORKS, path="/models", decode=partial(read, ListModelsResponse))
