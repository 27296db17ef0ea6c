"""`Completion` and `ChatCompletion`: one call each way, sync or async, whole or streamed.

Vendor pages: https://docs.fireworks.ai/api-reference/post-completions,
https://docs.fireworks.ai/api-reference/post-chatcompletions
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Coroutine, Generator, Mapping
from typing import Any, ClassVar, Generic, Literal, TypeVar, overload

from pydantic import BaseModel

from qaip_core.fireworks_api import connections
from qaip_core.fireworks_api.calls import Call
from qaip_core.fireworks_api.errors import InvalidParameterError
from qaip_core.fireworks_api.models import (
    ChatCompletionResponse,
    ChatCompletionStreamResponse,
    ChatMessage,
    CompletionResponse,
    CompletionStreamResponse,
)

__all__ = ["BaseCompletion", "ChatCompletion", "Completion"]

_ENVIRONMENT = "set FIREWORKS_API_KEY or FIREWORKS_API_BASE"
_NO_FIELDS: Mapping[str, str] = {
    **dict.fromkeys(("api_key", "api_base", "base_url"), _ENVIRONMENT),
    "client": "use an object such as langchain_qaip.ChatFireworks(api_key=...)",
    "extra_headers": "use langchain_qaip.ChatFireworks(default_headers={...})",
}
"""What calls of the client's later versions take, and a body does not."""

R = TypeVar("R", bound=BaseModel)
S = TypeVar("S", bound=BaseModel)


class BaseCompletion(Generic[R, S]):
    """What both kinds of completion have in common.

    Attributes:
        endpoint: the path below the base URL.
        data_key: the name of the prompt or the messages in the body.
        response_class: parses answers that are not streamed.
        stream_response_class: parses the events of streamed ones.
    """

    endpoint: ClassVar[str]
    data_key: ClassVar[str]
    response_class: ClassVar[type[BaseModel]]
    stream_response_class: ClassVar[type[BaseModel]]

    @overload
    @classmethod
    def create(
        cls,
        model: str,
        prompt_or_messages: Any = ...,
        request_timeout: float | None = ...,
        stream: Literal[False] = ...,
        **kwargs: Any,
    ) -> R: ...
    @overload
    @classmethod
    def create(
        cls,
        model: str,
        prompt_or_messages: Any = ...,
        request_timeout: float | None = ...,
        *,
        stream: Literal[True],
        **kwargs: Any,
    ) -> Generator[S, None, None]: ...
    @overload
    @classmethod
    def create(
        cls,
        model: str,
        prompt_or_messages: Any = ...,
        request_timeout: float | None = ...,
        stream: bool = ...,
        **kwargs: Any,
    ) -> R | Generator[S, None, None]: ...
    @classmethod
    def create(
        cls,
        model: str,
        prompt_or_messages: Any = None,
        request_timeout: float | None = 600,
        stream: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Return the answer, or with ``stream`` a generator of its events.

        A stream sends its request when its first event is asked for; closing it frees the
        connection.

        Parameters:
            model: such as "accounts/fireworks/models/llama-v3p1-8b-instruct".
            prompt_or_messages: else, or if it is empty, ``prompt=`` or ``messages=``.
            request_timeout: seconds of silence allowed, before the answer and between the
                events of a stream; None for no limit.
            stream: whether to stream.
            kwargs: further fields of the body, sent as they are, None included.

        Raises:
            AssertionError: there is no prompt, or there are no messages.
            FireworksError: the call failed; see `qaip_core.fireworks_api.errors`.
            ConfigurationError: there is no key, or the base URL cannot be used.
        """
        data = prompt_or_messages or kwargs.get(cls.data_key)
        call = cls._call(model, data, request_timeout, stream, kwargs)
        return call.stream() if stream else call.complete()

    @overload
    @classmethod
    def acreate(
        cls,
        model: str,
        *args: Any,
        request_timeout: float | None = ...,
        stream: Literal[False] = ...,
        **kwargs: Any,
    ) -> Coroutine[Any, Any, R]: ...
    @overload
    @classmethod
    def acreate(
        cls,
        model: str,
        *args: Any,
        request_timeout: float | None = ...,
        stream: Literal[True],
        **kwargs: Any,
    ) -> AsyncGenerator[S, None]: ...
    @overload
    @classmethod
    def acreate(
        cls,
        model: str,
        *args: Any,
        request_timeout: float | None = ...,
        stream: bool = ...,
        **kwargs: Any,
    ) -> Coroutine[Any, Any, R] | AsyncGenerator[S, None]: ...
    @classmethod
    def acreate(
        cls,
        model: str,
        *args: Any,
        request_timeout: float | None = 600,
        stream: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Return the answer to await, or with ``stream`` an async generator, not to await.

        As in the client, an empty text is a prompt here, and ``prompt_or_messages=`` is not a
        name. What is wrong with the call itself shows at once, not when it is awaited.

        Parameters:
            model: see `create`.
            args: the prompt or the messages; else ``prompt=`` or ``messages=``.
            request_timeout: see `create`.
            stream: whether to stream.
            kwargs: further fields of the body, sent as they are, None included.

        Raises:
            AssertionError: there is no prompt, or there are no messages.
            FireworksError: the call failed; see `qaip_core.fireworks_api.errors`.
            ConfigurationError: there is no key, or the base URL cannot be used.
        """
        if len(args) > 1:
            raise TypeError(f"acreate takes model and {cls.data_key} only without their names")
        data = args[0] if args and args[0] is not None else kwargs.get(cls.data_key)
        call = cls._call(model, data, request_timeout, stream, kwargs)
        return call.astream() if stream else call.acomplete()

    @classmethod
    def _call(
        cls,
        model: str,
        data: Any,
        request_timeout: float | None,
        stream: bool,
        kwargs: Mapping[str, Any],
    ) -> Call:
        if data is None:
            raise AssertionError(f"{cls.data_key} must be provided")
        if not isinstance(stream, bool):
            raise InvalidParameterError("stream value is not a valid boolean")
        for name in _NO_FIELDS.keys() & kwargs.keys():  # they would come back in an error
            raise InvalidParameterError(f"{name} is no field of the body: {_NO_FIELDS[name]}")
        data = [_as_sent(item) for item in data] if isinstance(data, list | tuple) else data
        return Call(
            settings=connections.settings(request_timeout),
            path=f"/{cls.endpoint}",
            response=cls.stream_response_class if stream else cls.response_class,
            body={"model": model, "stream": stream, **kwargs, cls.data_key: data},
        )


def _as_sent(turn: Any) -> Any:
    """Return a turn as the service takes it: no nulls, no keys that only its answers have."""
    if not isinstance(turn, ChatMessage):
        return turn
    sent = turn.model_dump(mode="json", exclude_none=True)
    if "tool_calls" in sent:
        sent["tool_calls"] = [
            {k: v for k, v in call.items() if k not in ("index", "name")}
            for call in sent["tool_calls"]
        ]
    return sent


class Completion(BaseCompletion[CompletionResponse, CompletionStreamResponse]):
    """Text completions."""

    endpoint = "completions"
    data_key = "prompt"
    response_class = CompletionResponse
    stream_response_class = CompletionStreamResponse


class ChatCompletion(BaseCompletion[ChatCompletionResponse, ChatCompletionStreamResponse]):
    """Chat completions."""

    endpoint = "chat/completions"
    data_key = "messages"
    response_class = ChatCompletionResponse
    stream_response_class = ChatCompletionStreamResponse
