"""The key goes into the request's header and nowhere else."""

import copy
import logging
import pickle
import traceback
from typing import Any

import pytest
from langchain_core.load import dumpd, dumps, load
from langchain_core.tracers import BaseTracer
from langchain_core.tracers.schemas import Run

from qaip_core import ServiceError
from support.fault_server import FaultServer, json_reply

from .models import CHATS, KEY, MODELS, Kind, every, text_of

beta = pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")
HEADER = "hushed-header-77"


class Collector(BaseTracer):
    """Keeps every run that is traced."""

    def __init__(self) -> None:
        super().__init__()
        self.runs: list[Run] = []

    def _persist_run(self, run: Run) -> None:
        self.runs.append(run)


def made(kind: Kind, url: str = "http://127.0.0.1:1", **given: Any) -> Any:
    return kind.at(url, default_headers={"x-gate": HEADER}, **given)


def holds(text: Any) -> bool:
    return KEY in str(text) or HEADER in str(text)


SHOWN: dict[str, Any] = {
    "repr": repr,
    "str": str,
    "model_dump": lambda m: m.model_dump(),
    "model_dump in Python": lambda m: m.model_dump(mode="python"),
    "model_dump_json": lambda m: m.model_dump_json(),
    "dumps": dumps,
    "dumpd": dumpd,
    "pickle": lambda m: pickle.dumps(m).decode("latin-1"),
    "pickle of a copy": lambda m: pickle.dumps(copy.deepcopy(m)).decode("latin-1"),
    "repr of a copy": lambda m: repr(copy.deepcopy(m)),
    "asdict": lambda m: m.asdict(),
    "identifying params": lambda m: m._identifying_params,
    "tracing params": lambda m: m._get_ls_params(),
}


@pytest.mark.parametrize("show", SHOWN.values(), ids=SHOWN)
@every(MODELS)
def test_the_key_is_not_shown(kind: Kind, show: Any) -> None:
    assert not holds(show(made(kind)))


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


@pytest.mark.parametrize("streaming", [False, True], ids=["invoke", "stream"])
@every(MODELS)
async def test_traces_hold_no_key(kind: Kind, streaming: bool, server: FaultServer) -> None:
    server.replies(kind.reply(stream=streaming or kind.streams_whole))
    tracer = Collector()
    config: Any = {"callbacks": [tracer]}
    async with made(kind, server.url) as model:
        if streaming:
            list(model.stream("q", config))
        else:
            model.invoke("q", config)
    (run,) = tracer.runs
    assert run.serialized
    assert run.outputs
    assert not holds(run.model_dump_json() if hasattr(run, "model_dump_json") else run.json())


@every(MODELS)
def test_a_traced_failure_holds_no_key(kind: Kind, server: FaultServer) -> None:
    server.replies(json_reply({"message": "no"}, 401))
    tracer = Collector()
    with made(kind, server.url) as model, pytest.raises(ServiceError):
        model.invoke("q", {"callbacks": [tracer]})
    (run,) = tracer.runs
    assert run.error
    assert not holds(run.error)


@every(MODELS)
async def test_logs_hold_no_key(
    kind: Kind, server: FaultServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.replies(kind.reply(stream=kind.streams_whole), json_reply({}, 401))
    with caplog.at_level(logging.DEBUG):
        async with made(kind, server.url) as model:
            await model.ainvoke("q")
            with pytest.raises(ServiceError):
                model.invoke("q")
    assert caplog.records
    assert not holds(caplog.text)
    assert not any(holds(record.args) for record in caplog.records)


FAILURES: dict[str, dict[str, Any]] = {
    "refused connection": {"base_url": "http://127.0.0.1:1"},
    "wrong key": {},
    "a misspelt parameter": {"call": {"modell": 1}},
}


@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES)
@every(CHATS)
def test_tracebacks_hold_no_key(kind: Kind, failure: dict[str, Any], server: FaultServer) -> None:
    server.replies(json_reply({"message": "no"}, 401))
    with (
        made(kind, failure.get("base_url", server.url)) as model,
        pytest.raises(ServiceError) as caught,
    ):
        model.invoke("q", **failure.get("call", {}))
    assert not holds("".join(traceback.format_exception(caught.value)))
    assert not holds(vars(caught.value))


@pytest.mark.parametrize("key", [f"{KEY}\n", f"{KEY} x", f"{KEY}é"])
@every(CHATS)
def test_a_refused_key_is_not_repeated(kind: Kind, key: str) -> None:
    with pytest.raises(ServiceError) as caught:
        kind.at("http://127.0.0.1:1", api_key=key)
    assert not holds("".join(traceback.format_exception(caught.value)))


@pytest.mark.parametrize("wrong", [{"max_retries": -1}, {"timeout": "soon"}, {"api_kee": KEY}])
@every(CHATS)
def test_a_refused_constructor_does_not_repeat_the_key(kind: Kind, wrong: dict[str, Any]) -> None:
    with pytest.raises(ServiceError) as caught:
        kind.at("http://127.0.0.1:1", **wrong)
    assert not holds("".join(traceback.format_exception(caught.value)))
