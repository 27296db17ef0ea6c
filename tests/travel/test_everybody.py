"""Every class travels: pickled, it holds no key; unpickled, it answers as before."""

import asyncio
import copy
import pickle
from typing import Any

import cloudpickle
import pytest
from pydantic import BaseModel

import langchain_qaip
import llama_index_qaip
from support.backends import KEY
from support.travel.keys import SOURCE_KEY, asked_key, read_key
from support.travel.table import ENV_KEY, TRAVELLERS, Everybody, Traveller, environment

HEADER = "hushed-header-77d1"
_BASES = {"ServiceError", "ServiceLLM", "CitingLLM"}
each = pytest.mark.parametrize("traveller", TRAVELLERS, ids=repr)
by_both = pytest.mark.parametrize("pickler", [pickle, cloudpickle], ids=lambda p: p.__name__)


def holds(data: bytes) -> bool:
    return any(secret.encode() in data for secret in (KEY, HEADER, SOURCE_KEY, ENV_KEY))


def fields_of(made: Any) -> Any:
    return repr(made.model_dump()) if isinstance(made, BaseModel) else None


def keys_sent(server: Everybody) -> set[bool]:
    """Return whether the requests, since the last look, came with the key of the environment."""
    sent = {ENV_KEY in str(request.headers) for request in server.requests}
    server.requests.clear()
    return sent


def test_every_public_class_is_among_the_travellers() -> None:
    public = {
        f"{package.__name__}.{name}"
        for package in (langchain_qaip, llama_index_qaip)
        for name in package.__all__
        if isinstance(getattr(package, name), type) and name not in _BASES
    }
    made = (type(t.make("http://127.0.0.1:1")) for t in TRAVELLERS)
    assert public - {f"{cls.__module__.partition('.')[0]}.{cls.__name__}" for cls in made} == set()


@each
@by_both
def test_it_answers_in_another_process_as_here_with_the_key_of_the_environment(
    traveller: Traveller, pickler: Any, server: Everybody, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = traveller.make(server.url_of(traveller), default_headers={"x-gate": HEADER})
    wanted = traveller.ask(made), asyncio.run(traveller.aask(made))  # its connections are open
    data = pickler.dumps(made)
    twice = pickler.dumps(pickle.loads(data))
    assert not holds(data + twice + pickler.dumps(copy.deepcopy(made)))
    assert keys_sent(server) == {False}

    for name, value in environment().items():
        monkeypatch.setenv(name, value)
    for again in (pickle.loads(data), pickle.loads(twice), copy.deepcopy(pickle.loads(data))):
        assert fields_of(again) == fields_of(made)
        assert (traveller.ask(again), asyncio.run(traveller.aask(again))) == wanted
    assert keys_sent(server) == {True}


@each
@by_both
def test_a_function_of_a_module_goes_with_it_as_the_source_of_its_key(
    traveller: Traveller, pickler: Any, server: Everybody
) -> None:
    url = server.url_of(traveller)
    sync, is_async = (traveller.make(url, api_key=source) for source in (read_key, asked_key))
    sent, async_sent = pickler.dumps(sync), pickler.dumps(is_async)
    assert not holds(sent + async_sent)
    traveller.ask(pickle.loads(sent))
    asyncio.run(traveller.aask(pickle.loads(async_sent)))
    assert all(SOURCE_KEY in str(request.headers) for request in server.requests)
    server.requests.clear()
