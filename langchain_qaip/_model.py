"""What a chat model and a text LLM of a service have in common."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeVar, cast

from langchain_core.language_models.base import LangSmithParams

from langchain_qaip._connected import Translated
from langchain_qaip._translator import provider
from langchain_qaip.errors import as_langchain
from qaip_core import Choice, Completion
from qaip_core.backend import COMMON
from qaip_core.connection import base_url, without_context
from qaip_core.errors import InvalidParameterError, ServiceError
from qaip_core.service import Service

__all__ = ["Model", "combined", "in_order", "llm_output", "sighted"]

F = TypeVar("F", bound=Callable[..., Any])
_OWN = frozenset({"stream"})  # keywords that LangChain itself reads
_OF_CALLS = frozenset({*COMMON, "stop", "extra_body"})  # fields that a call may replace


class Model(Translated, Service):
    """What a chat model and a text LLM have in common."""

    @classmethod
    def is_lc_serializable(cls) -> bool:
        """Return True: the class round-trips through LangChain's load and dump."""
        return True

    @property
    def lc_attributes(self) -> dict[str, Any]:
        """The address, also where it is the environment's: chat models are cached by it.

        And how the service proves who it is, as far as that can be written down.
        """
        proof = {} if self.verify is None else {"verify": without_context(self.verify)}
        return {"base_url": self._address, **proof}

    @property
    def _address(self) -> str:
        return base_url(self.endpoint.backend, self.base_url)

    @property
    def provider(self) -> str:
        """The ``model_provider`` that answers carry."""
        return provider(self.endpoint.backend.name)

    @property
    def _identifying_params(self) -> Mapping[str, Any]:
        """All that changes an answer: it keys caches. No secrets."""
        return {
            "provider": self.provider,
            "path": self.endpoint.path,
            "base_url": self._address,
            "extra_body": self.extra_body,
            "stop_sequences": self.stop,  # LangChain writes the call's over the key "stop"
            **self.values({}),
        }

    def _ls_params(
        self, kind: Literal["chat", "llm"], stop: list[str] | None, call: Mapping[str, Any]
    ) -> LangSmithParams:
        with as_langchain():
            given = self._call(stop, call)
        params: LangSmithParams = {
            "ls_provider": self.endpoint.backend.name,
            "ls_model_name": call.get("model") or self.model_label,  # as asked, sent or not
            "ls_model_type": kind,
        }
        for name in ("temperature", "max_tokens", "stop"):
            if name in given:
                params[f"ls_{name}"] = given[name]  # type: ignore[literal-required]  # all three are
        return params

    def _call(self, stop: list[str] | None, call: Mapping[str, Any]) -> dict[str, Any]:
        """Return the parameters of one call; its stop sequences replace the object's."""
        if "stop_sequences" in call:
            stop = stop or call["stop_sequences"]
            call = {k: v for k, v in call.items() if k != "stop_sequences"}
        known = type(self).model_fields if call else ()
        for name in call:
            own = name in known and name not in _OF_CALLS
            if own and not self.endpoint.takes(name):
                raise InvalidParameterError(f"{name!r} is set on the object, not for a single call")
        return self.values({**{k: v for k, v in call.items() if k not in _OWN}, "stop": stop})

    def get_token_ids(self, text: str) -> list[int]:
        """Return as many numbers as `get_num_tokens` estimates; the numbers mean nothing."""
        count: Callable[[str], list[int]] | None = getattr(self, "custom_get_token_ids", None)
        return count(text) if count else list(range(-(-len(text) // 4)))

    def get_num_tokens(self, text: str) -> int:
        """Return an estimate (4 characters a token): the services publish no tokenizers."""
        return len(self.get_token_ids(text))

    def with_retry(self, **kwargs: Any) -> Any:
        """Return this model with further tries after errors that may pass.

        Parameters:
            kwargs: those of LangChain's ``with_retry``; ``retry_if_exception_type`` is by default
                every error of this package whose ``is_retryable`` says so, not every exception.
        """
        kwargs.setdefault("retry_if_exception_type", (_MayPass,))
        return super().with_retry(**kwargs)  # type: ignore[misc]  # of LangChain's base

    def _streamed(self, stop: list[str] | None, call: Mapping[str, Any]) -> dict[str, Any]:
        values = self._call(stop, call)
        if (values.get("n") or 1) > 1:
            raise InvalidParameterError("n > 1 cannot be streamed as one message: use generate()")
        return values

    def name_of(self, answer: Completion, values: Mapping[str, Any]) -> str:
        """Return the name of the model that gave an answer."""
        return answer.model or values.get("model") or self.model_label


def sighted(method: F) -> F:
    """Keep the signature of a method, which LangChain makes anew before every call of it."""
    cast("Any", method).__signature__ = inspect.signature(method)
    return method


class _ByError(type):
    def __instancecheck__(cls, error: Any) -> bool:
        return isinstance(error, ServiceError) and error.is_retryable


class _MayPass(Exception, metaclass=_ByError):  # noqa: N818 -- stands for errors, is never raised
    """Every error after which the same call may succeed: not all of a class are alike.

    A 501 is a `ServerError` like a 503, but nothing is gained by repeating it.
    """


def llm_output(answer: Completion, model: str) -> dict[str, Any]:
    usage = {"token_usage": answer.usage.as_counts()} if answer.usage else {}
    return {"model_name": model, **usage}


def combined(outputs: Sequence[Mapping[str, Any] | None]) -> dict[str, Any]:
    """Add up the token counts of several answers."""
    total: dict[str, int] = {}
    combined: dict[str, Any] = {}
    for output in outputs:
        if output:
            combined.setdefault("model_name", output["model_name"])
            for name, count in output.get("token_usage", {}).items():
                total[name] = total.get(name, 0) + count
    return {**combined, "token_usage": total} if total else combined


def in_order(answer: Completion) -> list[Choice]:
    """Return the choices by their index, whatever order the service sends them in."""
    return sorted(answer.choices, key=lambda choice: choice.index)
