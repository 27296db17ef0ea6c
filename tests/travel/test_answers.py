"""What comes back from a worker: answers, their parts, and errors."""

import asyncio
import pickle
from typing import Any

import cloudpickle
import pytest

import langchain_qaip.errors
import llama_index_qaip.errors
from langchain_qaip import ChatPerplexity
from llama_index_qaip import Perplexity
from qaip_core import Choice, Citation, Completion
from support.backends import KEY
from support.fault_server import FaultServer
from support.faults.speech import SPEECHES

by_both = pytest.mark.parametrize("pickler", [pickle, cloudpickle], ids=lambda p: p.__name__)
ERRORS = [
    cls
    for module in (langchain_qaip.errors, llama_index_qaip.errors)
    for name in module.__all__
    if isinstance(cls := getattr(module, name), type) and issubclass(cls, Exception)
]
SPOKEN = next(s for s in SPEECHES if (s.service, s.operation) == ("perplexity", "chat"))


def answers(server: FaultServer) -> list[Any]:
    """Return all that comes of asking, but for streams that are not read yet."""
    given: dict[str, Any] = {"api_key": KEY, "base_url": server.url, "model": "sonar"}
    chat, llm = ChatPerplexity(**given), Perplexity(**given)
    engine = llm.as_query_engine()
    server.replies(SPOKEN.answer("Dried [1].", stream=False))
    whole = [
        chat.invoke("q"),
        chat.as_retriever().invoke("q"),
        langchain_qaip.cited(chat.invoke("q")),
        llm.complete("q"),
        llm.as_retriever().retrieve("q"),
        engine.query("q"),
        asyncio.run(engine.aquery("q")),
        llama_index_qaip.cited(engine.query("q")),
    ]
    server.reset()
    server.replies(SPOKEN.answer("Dried [1].", stream=True))
    return [*whole, list(chat.stream("q")), list(llm.stream_complete("q"))]


@by_both
def test_answers_and_their_sources_come_back_as_they_are(pickler: Any) -> None:
    with FaultServer() as server:
        came = answers(server)
    for answer in came:
        data = pickler.dumps(answer)
        assert KEY.encode() not in data
        assert repr(pickle.loads(data)) == repr(answer)


@by_both
@pytest.mark.parametrize("cls", ERRORS, ids=lambda c: f"{c.__module__.split('.')[0]}.{c.__name__}")
def test_an_error_comes_back_with_all_that_it_tells(cls: Any, pickler: Any) -> None:
    error = cls("It failed.")
    told = {
        "status": 429,
        "retry_after": 2.5,
        "attempts": 3,
        "request_id": "r-1",
        "partial": Completion([Choice("Dri")], citations=(Citation("c-1"),)),
    }
    vars(error).update(told)
    again = pickle.loads(pickler.dumps(error))
    assert (type(again), str(again)) == (cls, str(error))
    assert {name: getattr(again, name) for name in told} == told
