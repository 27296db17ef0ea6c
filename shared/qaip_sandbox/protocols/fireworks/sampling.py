"""The fields that text and chat completions share, strict about types and ranges."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, model_validator

__all__ = ["Completion", "Format", "Sampling", "Strict"]

_Item = TypeVar("_Item")
_Some = Annotated[list[_Item], Field(min_length=1)]
_Penalty = Annotated[float, Field(ge=-2, le=2)] | None
_Share = Annotated[float, Field(ge=0, le=1)] | None


class Strict(BaseModel):
    """An object that has no unknown fields, or, with `{"lenient": True}`, ignores them."""

    model_config = ConfigDict(strict=True, extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _forgive(cls, value: Any, info: ValidationInfo) -> Any:
        if not (isinstance(info.context, Mapping) and info.context.get("lenient")):
            return value
        known = {field.alias or name for name, field in cls.model_fields.items()}
        return {k: v for k, v in value.items() if k in known} if isinstance(value, dict) else value


class _StreamOptions(Strict):
    include_usage: bool = False


class _JsonSchema(Strict):
    schema_: dict[str, Any] = Field(alias="schema")
    name: str | None = None
    description: str | None = None
    strict: bool | None = None


class Format(Strict):
    """The form of the answer; a schema stands either in `json_schema` or beside the type."""

    type: Literal["text", "json_object", "json_schema", "grammar"]
    schema_: dict[str, Any] | None = Field(None, alias="schema")
    json_schema: _JsonSchema | None = None
    grammar: str | None = None

    @property
    def schema_of_answer(self) -> dict[str, Any] | None:
        """The schema that the answer conforms to, or None."""
        return self.json_schema.schema_ if self.json_schema else self.schema_


class _Thinking(Strict):
    type: Literal["enabled", "disabled"]
    budget_tokens: Annotated[int, Field(ge=1024)] | None = None


class _Prediction(Strict):
    type: Literal["content"]
    content: str


class Sampling(Strict):
    """The fields of both calls. Those that only steer a real model are checked, then ignored."""

    model: str
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    n: Annotated[int, Field(ge=1, le=128)] | None = None
    max_tokens: Annotated[int, Field(ge=0)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=0)] | None = None
    stop: str | Annotated[list[str], Field(max_length=4)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: _Share = None
    top_k: Annotated[int, Field(ge=0, le=128)] | None = None
    min_p: _Share = None
    typical_p: _Share = None
    frequency_penalty: _Penalty = None
    presence_penalty: _Penalty = None
    repetition_penalty: Annotated[float, Field(ge=0, le=2)] | None = None
    mirostat_target: float | None = None
    mirostat_lr: float | None = None
    seed: int | None = None
    logit_bias: dict[str, Annotated[float, Field(ge=-100, le=100)]] | None = None
    logprobs: bool | Annotated[int, Field(ge=0, le=5)] | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=5)] | None = None
    echo: bool | None = None
    echo_last: Annotated[int, Field(ge=0)] | None = None
    ignore_eos: bool | None = None
    context_length_exceeded_behavior: Literal["truncate", "error"] | None = None
    response_format: Format | None = None
    reasoning_effort: int | bool | Literal["low", "medium", "high", "max", "none"] | None = None
    thinking: _Thinking | None = None
    reasoning_history: Literal["disabled", "interleaved", "preserved"] | None = None
    raw_output: bool | None = None
    perf_metrics_in_response: bool | None = None
    return_token_ids: bool | None = None
    service_tier: Literal["auto", "default", "flex", "priority"] | None = None
    speculation: str | list[int] | None = None
    prediction: _Prediction | str | None = None
    user: str | None = None
    metadata: dict[str, str] | None = None
    prompt_cache_key: str | None = None
    prompt_cache_isolation_key: str | None = None

    @property
    def limit(self) -> int | None:
        """The largest number of tokens of an answer."""
        return self.max_completion_tokens if self.max_tokens is None else self.max_tokens

    @property
    def stops(self) -> list[str]:
        """The words that end an answer."""
        return [self.stop] if isinstance(self.stop, str) else self.stop or []

    @property
    def guess(self) -> str | list[int] | None:
        """The answer that the request expects, so that a model could be faster."""
        said = self.prediction
        return self.speculation or (said.content if isinstance(said, _Prediction) else said)

    @property
    def reasons(self) -> bool:
        """Whether the model thinks aloud before it answers."""
        if self.thinking is not None:
            return self.thinking.type == "enabled"
        return self.reasoning_effort not in (None, "none", False, 0)


class Completion(Sampling):
    """A request for a text completion."""

    prompt: str | _Some[str] | _Some[int] | _Some[list[int]]
    images: list[str] | list[list[str]] | None = None

    @property
    def questions(self) -> list[str]:
        """The prompts as texts; one of token ids has no words, as the sandbox has no vocabulary."""
        if isinstance(self.prompt, str):
            return [self.prompt]
        texts = [item if isinstance(item, str) else "" for item in self.prompt]
        return texts[:1] if all(isinstance(item, int) for item in self.prompt) else texts

    @property
    def has_its_images(self) -> bool:
        """Whether there are as many images as places for them in the prompts."""
        given = self.images or []
        flat = [image for item in given for image in ([item] if isinstance(item, str) else item)]
        return len(flat) == sum(text.count("<image>") for text in self.questions) or not flat
