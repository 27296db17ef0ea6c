"""An object of every public class, and of what frameworks make of them: how each is asked."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.tools import tool
from llama_index.core.llms import ChatMessage

import langchain_qaip as lc
import llama_index_qaip as li
from qaip_core.backends import BACKENDS
from qaip_core.backends.dify.datasets import RETRIEVE
from support.backends import KEY
from support.fault_server import FaultServer, Recorded, Reply
from support.faults.secrets import answer
from support.faults.speech import SPEECHES
from support.faults.subjects import LANGCHAIN, LLAMA_INDEX, Subject
from support.searches import ONE_OF_EACH, Call, Tea, right_reply

__all__ = ["ENV_KEY", "TRAVELLERS", "Everybody", "Traveller", "environment", "shown"]

ENV_KEY = "key-of-the-worker-9d40"
_LIMITS: Mapping[str, Any] = {"max_retries": 0, "timeout": 60, "stream_idle_timeout": 60}
"""Long ones: processes that start take the processor from those that ask."""


def shown(result: Any) -> str:
    """Return what came of asking as text, without the id of the node that was handed in."""
    return re.sub(r"id_='[0-9a-f-]{36}'", "id_=...", repr(result))


def environment() -> dict[str, str]:
    """Return the keys of all services, as workers have them."""
    names = [name for backend in (*BACKENDS, RETRIEVE.backend) for name in backend.key_env]
    return dict.fromkeys(names, ENV_KEY)


@dataclass(frozen=True)
class Traveller:
    """One object.

    make: returns it, for a service at a URL, with further fields.
    ask, aask: ask it, and return what came of it.
    reply: what the service answers.
    """

    name: str
    make: Callable[..., Any]
    ask: Callable[[Any], Any]
    aask: Callable[[Any], Any]
    reply: Reply

    def __repr__(self) -> str:
        return self.name


class Everybody(FaultServer):
    """Gives each object the answers of its service, below a path of its own."""

    def url_of(self, traveller: Traveller) -> str:
        return f"{self.url}/{TRAVELLERS.index(traveller)}"

    def answer(self, request: Recorded) -> Reply:
        super().answer(request)
        return TRAVELLERS[int(request.path.split("/")[1])].reply


def _same(made: Any) -> Any:
    return made


def _of_subject(sync: Subject, is_async: Subject) -> Traveller:
    asked, aasked = (replace(s, way=replace(s.way, of=_same)) for s in (sync, is_async))
    make: Callable[..., Any] = lambda url, **fields: sync.way.of(  # noqa: E731
        sync.make(url, **{**_LIMITS, **fields})
    )
    return Traveller(
        f"{sync.layer} {sync.name} {sync.operation}",
        make,
        asked.ask_of,
        aasked.aask_of,
        answer(sync),
    )


def _of_call(call: Call) -> Traveller:
    make: Callable[..., Any] = lambda url, **fields: call.make(url, **{**_LIMITS, **fields})  # noqa: E731
    return Traveller(f"{call!r}", make, call.ask_of, call.aask_of, right_reply(call))


_PAIRS = [
    (one, other)
    for layer in (LANGCHAIN, LLAMA_INDEX)
    for one, other in zip(layer[::2], layer[1::2], strict=True)
    if not one.streams
]

# What frameworks make of a model


@tool
def brew(pot: int) -> int:
    """Brew a pot."""
    return pot


_OBJECT = '{"leaf": "dried", "pots": 2}'
_PROMPT = ChatPromptTemplate.from_messages([("user", "{question}")])
_SPOKEN = next(s for s in SPEECHES if (s.service, s.operation) == ("fireworks", "chat"))
_CHAIN = {"question": "q"}

Made = Callable[[Any], Any]


def _of_langchain(name: str, of: Made, asked: Any = "q", text: str = "Dried.") -> Traveller:
    def make(url: str, **fields: Any) -> Any:
        given = {"api_key": KEY, "base_url": url, "model": "m", **_LIMITS, **fields}
        return of(lc.ChatFireworks(**given))

    return Traveller(
        f"langchain {name}",
        make,
        lambda made: _told(made.invoke(asked)),
        lambda made: _atold(made.ainvoke(asked)),
        _SPOKEN.answer(text, stream=False),
    )


def _told(result: Any) -> Any:
    """Return what of a result is the same each time: not the ids that LangChain gives."""
    if isinstance(result, dict) and "raw" in result:
        return {**result, "raw": result["raw"].text}
    return getattr(result, "text", result)


async def _atold(result: Any) -> Any:
    return _told(await result)


def _structured(url: str, **fields: Any) -> Any:
    given = {"api_key": KEY, "base_url": url, "model": "m", **_LIMITS, **fields}
    return li.Fireworks(**given).as_structured_llm(Tea)


async def _achatted(made: Any) -> Any:
    return (await made.achat(_TURN)).raw


_TURN = [ChatMessage(role="user", content="q")]
_COMPOSED = [
    _of_langchain("prompt | model | parser", lambda m: _PROMPT | m | StrOutputParser(), _CHAIN),
    _of_langchain("bind_tools", lambda m: m.bind_tools([brew, Tea])),
    _of_langchain("with_structured_output", lambda m: m.with_structured_output(Tea), "q", _OBJECT),
    _of_langchain(
        "with_structured_output as dict",
        lambda m: m.with_structured_output(Tea.model_json_schema()),
        "q",
        _OBJECT,
    ),
    _of_langchain(
        "with_structured_output and raw",
        lambda m: m.with_structured_output(Tea, include_raw=True),
        "q",
        _OBJECT,
    ),
    _of_langchain("with_retry", lambda m: m.with_retry()),
    _of_langchain("with_fallbacks", lambda m: m.with_fallbacks([m])),
    _of_langchain("with_config", lambda m: m.with_config(tags=["tea"])),
    Traveller(
        "llama_index as_structured_llm",
        _structured,
        lambda made: made.chat(_TURN).raw,
        _achatted,
        _SPOKEN.answer(_OBJECT, stream=False),
    ),
]

TRAVELLERS: Sequence[Traveller] = [
    *(_of_subject(*pair) for pair in _PAIRS),
    *(_of_call(call) for call in ONE_OF_EACH),
    *_COMPOSED,
]
