"""The key goes into the request's header and nowhere else."""

import copy
import pickle
import traceback
from typing import Any

import pytest
from langchain_core.load import dumpd, dumps, load

from qaip_core import ServiceError
from support.fault_server import FaultServer

from .models import CHATS, KEY, MODELS, Kind, every, text_of

beta = pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")
HEADER = "hushed-header-77"


def made(kind: Kind, url: str = "http://127.0.0.1:1", **given: Any) -> Any:
    return kind.at(url, default_headers={"x-gate": HEADER}, **given)


def holds(text: Any) -> bool:
    return KEY in str(text) or HEADER in str(text)


@every(MODELS)
def test_a_model_that_has_clients_is_pickled_without_them(
    kind: Kind, server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.replies(kind.reply(stream=kind.streams_whole))
    with made(kind, server.url) as model:
        model.invoke("q")
        frozen = pickle.dumps(model)
    assert not holds(frozen.decode("latin-1"))
    monkeypatch.setenv(kind.key_env, "sk-from-the-environment")
    with pickle.loads(frozen) as thawed:
        assert text_of(thawed.invoke("q"))
    assert "sk-from-the-environment" in " ".join(server.requests[-1].headers.values())


@every(MODELS)
async def test_a_copy_has_the_key_and_clients_of_its_own(kind: Kind, server: FaultServer) -> None:
    server.replies(kind.reply(stream=kind.streams_whole))
    async with made(kind, server.url) as model:
        await model.ainvoke("q")
        async with copy.deepcopy(model) as copied:
            assert text_of(await copied.ainvoke("q"))
            assert copied.async_client is not model.async_client
    assert all(KEY in " ".join(request.headers.values()) for request in server.requests)


@beta
@every(MODELS)
def test_a_model_is_dumped_and_loaded_with_a_key_from_elsewhere(
    kind: Kind, server: FaultServer
) -> None:
    server.replies(kind.reply(stream=kind.streams_whole))
    dumped = dumps(made(kind, server.url, stop=["x"]))
    loaded = load(
        dumpd(made(kind, server.url, stop=["x"])),
        allowed_objects=[kind.cls],
        valid_namespaces=["langchain_qaip"],
        secrets_map={kind.key_env: "sk-loaded"},
    )
    assert type(loaded) is kind.cls
    assert loaded.stop == ["x"]
    assert dumps(loaded) == dumped
    with loaded:
        assert text_of(loaded.invoke("q"))
    assert "sk-loaded" in " ".join(server.requests[0].headers.values())


@every(CHATS)
def test_the_error_of_a_misspelt_parameter_holds_no_key(kind: Kind, server: FaultServer) -> None:
    with made(kind, server.url) as model, pytest.raises(ServiceError) as caught:
        model.invoke("q", modell=1)
    assert not holds("".join(traceback.format_exception(caught.value)))
    assert not holds(vars(caught.value))
