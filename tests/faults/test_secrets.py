"""The key goes into the request's header and nowhere else: into no form of an object or error."""

import copy
import pickle
from collections.abc import Mapping
from typing import Any

import pytest
from langchain_core.load import dumpd, dumps
from pydantic import SecretStr

from qaip_core import ServiceError
from support.backends import ENDPOINTS, KEY
from support.fault_server import FaultServer, Reply, json_reply
from support.faults.matrix import spread, thinned
from support.faults.secrets import (
    ASKING,
    ECHO,
    HEADER,
    SHOWN,
    Echoes,
    Show,
    answer,
    forms,
    holds,
    spoken,
    with_values,
)
from support.faults.subjects import CORE, LANGCHAIN, LLAMA_INDEX, SUBJECTS, Subject

CLASSES = list(thinned([s for s in [*LANGCHAIN, *LLAMA_INDEX] if not s.is_async], 0))
"""Each class of the frameworks."""


# Objects

LANGCHAIN_SHOWN: Mapping[str, Show] = {
    "dumps": dumps,
    "dumpd": dumpd,
    "to_json": lambda m: m.to_json(),
    "asdict": lambda m: m.asdict(),
    "attributes": lambda m: (m.lc_attributes, m.lc_secrets),
    "identifying params": lambda m: m._identifying_params,
    "tracing params": lambda m: m._get_ls_params(),
    "bound": lambda m: (repr(m.bind(stop=["x"])), dumps(m.bind(stop=["x"]))),
    "retried": lambda m: (repr(m.with_retry()), dumps(m.with_retry())),
    "in a chain": lambda m: (repr(m | str), dumps(m | str)),
    "graph": lambda m: m.get_graph().to_json(),
    "schemas": lambda m: (m.get_input_jsonschema(), m.config_specs),
}
LLAMA_INDEX_SHOWN: Mapping[str, Show] = {
    "to_dict": lambda m: m.to_dict(),
    "to_json": lambda m: m.to_json(),
    "metadata": lambda m: (m.metadata, m.class_name()),
}
BY_LAYER: Mapping[str, Mapping[str, Show]] = {
    "langchain": {**SHOWN, **LANGCHAIN_SHOWN},
    "llama_index": {**SHOWN, **LLAMA_INDEX_SHOWN},
}
SOURCES_OF_KEYS: Mapping[str, Any] = {
    "a string": KEY,
    "a secret": SecretStr(KEY),
    "a callable": lambda: KEY,
    "the environment": None,
}


@pytest.mark.parametrize("source", SOURCES_OF_KEYS)
@pytest.mark.parametrize("subject", CLASSES, ids=repr)
def test_no_form_of_an_object_shows_the_key(
    subject: Subject, source: str, server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = ENDPOINTS[subject.service, subject.operation].backend
    monkeypatch.setenv(backend.key_env[0], KEY if source == "the environment" else "")
    fields = {"api_key": SOURCES_OF_KEYS[source], "default_headers": {"x-gate": HEADER}}
    server.reset()
    server.replies(answer(subject))
    made = subject.make(server.url, **fields)
    assert subject.ask_of(made).error is None  # now it has clients too
    shown = BY_LAYER[subject.layer]
    assert [name for name, show in shown.items() if holds(show(made))] == []
    made.close()


@pytest.mark.parametrize(
    "subject", [s for s in SUBJECTS if "retriever" in s.name or "engine" in s.name], ids=repr
)
def test_what_is_made_of_a_model_shows_no_key(subject: Subject) -> None:
    made = subject.make("https://x.example", default_headers={"x-gate": HEADER})
    asked = subject.way.of(made)
    assert not holds(f"{asked!r} {asked} {vars(asked)!r}")
    if hasattr(asked, "model_dump"):
        assert not holds(asked.model_dump())
        assert not holds(pickle.dumps(asked).decode("latin-1"))


@pytest.mark.parametrize("subject", CORE, ids=repr)
def test_no_form_of_a_client_shows_the_key(subject: Subject) -> None:
    made = subject.make("https://x.example", default_headers={"x-gate": HEADER})
    client = made._client
    assert not holds(f"{client!r} {vars(client)!r} {client.settings!r}")
    assert not holds(pickle.dumps(client).decode("latin-1"))


# Errors: a service that repeats the key wherever it can

HALVES = (KEY[:7], KEY[7:])
ECHOES: Mapping[str, Echoes] = {
    "in a body": lambda s: json_reply(ECHO, 401),
    "in a header": lambda s: json_reply({}, 403, x_echo=KEY, authorization=f"Bearer {KEY}"),
    "in a page": lambda s: Reply(status=502, body=_page(KEY), content_type="text/html"),
    "in a text": lambda s: Reply(status=400, body=f"no {KEY}".encode(), content_type="text/plain"),
    "in two halves": lambda s: Reply(
        status=500, body=[b"no ", 0.005, HALVES[0].encode(), 0.005, HALVES[1].encode()]
    ),
    "at the end of a long message": lambda s: json_reply({"message": "x" * 490 + KEY}, 400),
    "in a redirect": lambda s: Reply(status=307, headers={"location": f"/{KEY}"}, framing="length"),
    "in the reason": lambda s: Reply(status=400, reason=KEY),
    "in the place of an answer": lambda s: json_reply(ECHO),
    "in a page in its place": lambda s: Reply(body=_page(KEY), content_type="text/html"),
    "in no JSON": lambda s: s.stream(s.piece("te"), s.frame(f"no json {KEY}")),
    "in an error in the middle": lambda s: s.stream(
        s.piece("te"), s.frame(s.failure(f"wrong key {KEY}", code=KEY))
    ),
    "in no HTTP": lambda s: Reply(raw=f"{KEY} is no http\r\n\r\n".encode()),
    "in a broken header": lambda s: Reply(raw=f"HTTP/1.1 200 OK\r\n{KEY}\r\n\r\n".encode()),
    "nowhere: it resets": lambda s: Reply(raw=b"", end="reset"),
    "nowhere: it says nothing": lambda s: Reply(raw=b""),
    "nowhere: it cuts": lambda s: s.stream(s.piece("te"), end="cut"),
}


def _page(text: str) -> bytes:
    return f"<html><title>{text}</title><p>{text}</p></html>".encode()


CASES = [
    pytest.param(subject, echo, id=f"{name}-{subject.name}")
    for (name, echo), subjects in zip(ECHOES.items(), spread([ASKING] * len(ECHOES)), strict=True)
    for subject in subjects
]


@pytest.mark.parametrize(("subject", "echo"), CASES)
def test_no_error_shows_the_key(subject: Subject, echo: Echoes, server: FaultServer) -> None:
    server.reset()
    server.replies(echo(spoken(subject)))
    error = subject.ask(server.url, default_headers={"x-gate": HEADER}).error
    assert isinstance(error, ServiceError), repr(error)
    assert server.requests
    assert [name for name, form in forms(error).items() if holds(form)] == []
    assert KEY[:12] not in str(error)


# Errors: reporters show the values of each frame


SILENT: Mapping[str, Echoes] = {
    "refused": lambda s: json_reply({}, 401),
    "reset": lambda s: Reply(raw=b"", end="reset"),
    "cut": lambda s: s.stream(s.piece("te"), end="cut"),
    "malformed": lambda s: s.stream(s.frame("{")),
    "silent": lambda s: Reply(delay=1),
}
VALUES = [
    pytest.param(subject, reply, id=f"{name}-{subject.name}")
    for (name, reply), subjects in zip(SILENT.items(), spread([ASKING] * len(SILENT)), strict=True)
    for subject in subjects
]


def failed(subject: Subject, reply: Echoes, server: FaultServer) -> BaseException:
    server.reset()
    server.replies(reply(spoken(subject)))
    fields = {"default_headers": {"x-gate": HEADER}, "timeout": 0.05}
    error = subject.ask(server.url, **fields).error
    assert isinstance(error, ServiceError), repr(error)
    return error


@pytest.mark.parametrize(("subject", "reply"), VALUES)
def test_no_frame_of_an_error_shows_the_key(
    subject: Subject, reply: Echoes, server: FaultServer
) -> None:
    assert KEY not in with_values(failed(subject, reply, server))


@pytest.mark.parametrize("reply", SILENT.values(), ids=SILENT)
@pytest.mark.parametrize("subject", [s for s in CORE if s.service == "perplexity"], ids=repr)
def test_no_frame_of_an_error_shows_a_header_of_one_s_own(
    subject: Subject, reply: Echoes, server: FaultServer
) -> None:
    assert HEADER not in with_values(failed(subject, reply, server))


@pytest.mark.parametrize("subject", list(thinned(ASKING, 3)), ids=repr)
def test_a_connection_that_is_refused_shows_no_key(subject: Subject) -> None:
    error = subject.ask("http://127.0.0.1:1", default_headers={"x-gate": HEADER}).error
    assert isinstance(error, ServiceError)
    assert [name for name, form in forms(error).items() if holds(form)] == []
    assert KEY not in with_values(error)


@pytest.mark.parametrize("wrong", [{"max_retries": -1}, {"timeout": KEY}, {"api_kee": KEY}])
@pytest.mark.parametrize("subject", CLASSES, ids=repr)
def test_a_refused_constructor_shows_no_key(subject: Subject, wrong: Mapping[str, Any]) -> None:
    with pytest.raises(ServiceError) as caught:
        subject.make("http://127.0.0.1:1", default_headers={"x-gate": HEADER}, **wrong)
    assert [name for name, form in forms(caught.value).items() if holds(form)] == []


# Errors: they may be sent elsewhere


SESSION: Mapping[str, str] = {
    "set-cookie": "session=secret-of-a-session",
    "authorization": "Bearer secret-of-a-session",
    "x-api-key": "secret-of-a-session",
}


@pytest.mark.parametrize("subject", list(thinned(ASKING, 2)), ids=repr)
def test_an_error_travels_without_what_belongs_to_one_session(
    subject: Subject, server: FaultServer
) -> None:
    server.reset()
    server.replies(
        Reply(status=429, headers={**SESSION, "x-request-id": "r-1", "retry-after": "7"})
    )
    error = subject.ask(server.url).error
    for travelled in (error, copy.copy(error), pickle.loads(pickle.dumps(error))):
        assert type(travelled) is type(error)
        assert isinstance(travelled, ServiceError)
        assert str(travelled) == str(error)
        assert (travelled.status, travelled.request_id) == (429, "r-1")
        assert travelled.retry_after == 7
        assert travelled.headers is not None
        assert travelled.headers["x-request-id"] == "r-1"
        assert "secret-of-a-session" not in f"{travelled!r} {vars(travelled)}"


@pytest.mark.parametrize("subject", list(thinned(ASKING, 1)), ids=repr)
def test_an_error_travels_with_what_had_arrived(subject: Subject, server: FaultServer) -> None:
    speech = spoken(subject)
    if not subject.wants_stream:
        return
    server.reset()
    server.replies(speech.stream(speech.piece("tea"), end="cut"))
    error = subject.ask(server.url).error
    travelled = pickle.loads(pickle.dumps(error))
    assert travelled.partial_text == "tea"
    assert type(travelled) is type(error)
