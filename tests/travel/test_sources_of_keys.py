"""Which sources of keys go into a pickle: those that are known to hold none."""

import functools
import logging
import pickle
import ssl
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cloudpickle
import httpx
import pytest
from langchain_core.rate_limiters import InMemoryRateLimiter

from langchain_qaip import ChatFireworks, ChatPAIS, PAISSearchRetriever
from langchain_qaip.errors import MissingKeyError as TheirMissingKeyError
from llama_index_qaip import Fireworks
from qaip_core import errors, travel
from qaip_core.tokens import OpenIDToken
from support.backends import KEY
from support.fault_server import FaultServer, json_reply
from support.travel import keys
from support.travel.keys import Vault, read_key, read_secret

by_both = pytest.mark.parametrize("pickler", [pickle, cloudpickle], ids=lambda p: p.__name__)


def through(pickler: Any, source: Any) -> Any:
    """Return what becomes of a source in the pickle of an object."""
    data = pickler.dumps(ChatFireworks(model="m", api_key=source))
    assert KEY.encode() not in data
    return pickle.loads(data).api_key


# What goes


@by_both
@pytest.mark.parametrize(
    "source", [read_key, keys.asked_key, keys.remembered_key, functools.lru_cache, Vault]
)
def test_what_has_a_name_in_a_module_goes_by_it(pickler: Any, source: Any) -> None:
    assert through(pickler, source) is source


@by_both
def test_an_object_that_says_so_goes_as_it_pickles_itself(pickler: Any) -> None:
    vault = Vault()
    assert vault() == keys.SOURCE_KEY
    assert through(pickler, vault).kept is None


def test_a_function_of_a_module_goes_by_name_where_its_module_would_go_by_value() -> None:
    cloudpickle.register_pickle_by_value(keys)
    try:
        data = cloudpickle.dumps(ChatFireworks(model="m", api_key=read_key))
    finally:
        cloudpickle.unregister_pickle_by_value(keys)
    assert keys.SOURCE_KEY.encode() not in data


@pytest.mark.parametrize("named", ["keys.read_key()", "read_key()", "remembered_key()"])
def test_what_a_function_of_the_program_names_goes_by_name_whatever_it_holds(
    named: str, program: Callable[[str], Any]
) -> None:
    assert keys.remembered_key() == keys.SOURCE_KEY
    source = program(
        "from support.travel import keys\n"
        "from support.travel.keys import read_key, remembered_key\n"
        f"def source(): return {named}"
    )
    cloudpickle.register_pickle_by_value(keys)
    try:
        data = cloudpickle.dumps(ChatFireworks(model="m", api_key=source))
    finally:
        cloudpickle.unregister_pickle_by_value(keys)
    assert keys.SOURCE_KEY.encode() not in data
    assert pickle.loads(data).api_key() == keys.SOURCE_KEY


# What stays

held = types.SimpleNamespace(key=KEY)


class Holder:
    def __call__(self) -> str:
        return held.key

    def read(self) -> str:
        return held.key


def closure() -> Callable[[], str]:
    key = KEY
    return lambda: key


@by_both
@pytest.mark.parametrize(
    "source",
    [
        lambda: held.key,
        closure(),
        Holder(),
        Holder().read,
        functools.partial(str, KEY),
        functools.partial(read_key),
        KEY.strip,
    ],
    ids=["lambda", "closure", "object", "method", "partial", "empty partial", "builtin method"],
)
def test_what_may_hold_a_key_stays(pickler: Any, source: Any) -> None:
    assert through(pickler, source) is None


# Functions of the program itself


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    """Defines functions as a script does, and returns the one called ``source``."""
    main = types.ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", main)

    def defined(code: str) -> Any:
        exec(code, vars(main))
        return main.source

    return defined


GOOD = {
    "a function": "import os\ndef source(): return os.environ['X']",
    "an async function": "import os\nasync def source(): return os.environ['X']",
    "one that calls another": "def other(): return 'x'\ndef source(): return other()",
    "one that calls itself": "def source(n): return source(n)",
    "one that uses a class of a module": "from pathlib import Path\ndef source(): return Path('x')",
    "one with annotations": "def source(a: 'A', b: None) -> str | None: return 'x'",
}
BAD = {
    "a text": f"key = '{KEY}'\ndef source(): return key",
    "a text that a function within it names": (
        f"key = '{KEY}'\ndef source():\n    def inner(): return key\n    return inner()"
    ),
    "a text of a function that it calls": (
        f"key = '{KEY}'\ndef other(): return key\ndef source(): return other()"
    ),
    "an object": f"held = ['{KEY}']\ndef source(): return held[0]",
    "a class of the program": f"class Held: key = '{KEY}'\ndef source(): return Held.key",
    "a default": f"def source(key='{KEY}'): return key",
    "a default by name": f"def source(*, key='{KEY}'): return key",
    "an annotation": f"class Held: key = '{KEY}'\ndef source() -> Held | None: return 'x'",
    "a class that says so": f"class source:\n    travels = True\n    key = '{KEY}'",
    "an attribute": f"def source(): return source.key\nsource.key = '{KEY}'",
    "a lambda": "source = lambda: 'x'",
    "a memory": "from functools import cache\n@cache\ndef source(): return 'x'",
    "a closure": f"def made(key):\n    def source(): return key\n    return source\n"
    f"source = made('{KEY}')",
    "a module of its own making": (
        f"import types\nown = types.ModuleType('own')\nown.key = '{KEY}'\n"
        "def source(): return own.key"
    ),
}


@by_both
@pytest.mark.parametrize("code", GOOD.values(), ids=GOOD)
def test_a_function_of_the_program_goes_where_it_knows_nothing_but_what_modules_hold(
    pickler: Any, code: str, program: Callable[[str], Any]
) -> None:
    once = through(pickler, program(code))
    assert once.__name__ == through(pickler, once).__name__ == "source"


def test_a_function_of_the_program_goes_by_name_where_nobody_uses_cloudpickle(
    program: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("cloudpickle", "ray.cloudpickle"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    source = program("def source(): return 'x'")
    assert through(pickle, source) is source
    del sys.modules["__main__"].source
    assert through(pickle, source) is None


@by_both
@pytest.mark.parametrize("code", BAD.values(), ids=BAD)
def test_a_function_of_the_program_stays_where_it_may_know_a_key(
    pickler: Any, code: str, program: Callable[[str], Any]
) -> None:
    assert through(pickler, program(code)) is None


# What is said


@pytest.mark.parametrize("cls", [ChatFireworks, Fireworks])
@pytest.mark.parametrize("key", [KEY, lambda: KEY], ids=["text", "lambda"])
def test_without_a_key_there_the_error_says_that_keys_do_not_travel(cls: Any, key: Any) -> None:
    made = pickle.loads(pickle.dumps(pickle.loads(pickle.dumps(cls(model="m", api_key=key)))))
    with pytest.raises(errors.MissingKeyError) as caught:
        made.invoke("q") if cls is ChatFireworks else made.complete("q")
    assert "set FIREWORKS_API_KEY" in str(caught.value)
    assert "came in a pickle" in str(caught.value)
    assert "docs/how-to/workers.md" in str(caught.value)
    assert isinstance(caught.value, TheirMissingKeyError) is (cls is ChatFireworks)


def test_where_no_key_was_left_behind_the_error_says_nothing_of_pickles() -> None:
    with pytest.raises(errors.MissingKeyError) as caught:
        ChatFireworks(model="m")
    assert "pickle" not in str(caught.value)


def test_what_a_pickle_leaves_out_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    travel.tell.cache_clear()
    with httpx.Client() as http:
        given: dict[str, Any] = {"http_client": http, "default_headers": {"x-gate": KEY}}
        chat = ChatFireworks(model="m", api_key=lambda: KEY, **given)
        with caplog.at_level(logging.WARNING, "qaip_core"):
            pickle.dumps(chat)
            pickle.dumps(chat)
    (record,) = caplog.records
    for name in ("ChatFireworks", "api_key", "default_headers", "http_client"):
        assert name in record.getMessage()
    assert KEY not in record.getMessage()


def test_of_a_key_that_is_a_text_nothing_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "qaip_core"):
        pickle.dumps(ChatFireworks(model="m", api_key=KEY))
    assert not caplog.records


def test_a_context_of_certificates_is_said_to_stay(caplog: pytest.LogCaptureFixture) -> None:
    travel.tell.cache_clear()
    verify = ssl.create_default_context()
    again = pickle.loads(pickle.dumps(ChatFireworks(model="m", api_key=KEY, verify=verify)))
    assert again.verify is None
    assert "verify" in caplog.text


# What else goes with an object


def test_the_address_of_the_environment_goes_with_an_object(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PAIS_BASE_URL", "https://pais.site.example")
    chat = ChatPAIS(model="m", api_key=read_key)
    found = PAISSearchRetriever(knowledge_base_id="k", index_id="i", api_key=read_key)
    monkeypatch.delenv("PAIS_BASE_URL")
    for made in (chat, found):
        with pytest.raises(errors.ConfigurationError):
            made.__copy__().settings(made._action.backend)
    monkeypatch.setenv("PAIS_BASE_URL", "https://pais.site.example")
    sent = [pickle.dumps(made) for made in (chat, found)]
    monkeypatch.setenv("PAIS_BASE_URL", "https://other.example")
    for data, made in zip(sent, (chat, found), strict=True):
        again = pickle.loads(data)
        settings = again.settings(made._action.backend)
        assert settings.base_url.startswith("https://pais.site.example/")


def test_a_limiter_that_counts_in_one_process_stays_there(
    caplog: pytest.LogCaptureFixture,
) -> None:
    travel.tell.cache_clear()
    limiter = InMemoryRateLimiter(requests_per_second=1)
    chat = ChatFireworks(model="m", api_key=KEY, rate_limiter=limiter, metadata={"tea": "green"})
    again = pickle.loads(pickle.dumps(chat))
    assert again.rate_limiter is None
    assert again.metadata["tea"] == "green"
    assert chat.rate_limiter is limiter
    assert "rate_limiter" in caplog.text


@by_both
def test_settings_which_hold_the_key_are_in_no_pickle(pickler: Any) -> None:
    settings = ChatFireworks(model="m", api_key=KEY).client.settings
    with pytest.raises(errors.ConfigurationError, match="pickle the object"):
        pickler.dumps(settings)


# Tokens of an identity provider


def test_a_token_of_secrets_that_are_functions_goes_with_an_object() -> None:
    with FaultServer() as server:
        server.replies(json_reply({"access_token": "token-1", "expires_in": 600}))
        given: dict[str, Any] = {"client_secret": read_secret, "username": "u"}
        token = OpenIDToken(
            token_url=server.url, client_id="c", password=read_secret, scope="openid", **given
        )
        assert token() == "token-1"
        data = pickle.dumps(ChatPAIS(model="m", base_url="https://pais.example", api_key=token))
        assert b"token-1" not in data
        assert read_secret().encode() not in data
        again = pickle.loads(data).api_key
        assert again() == "token-1"
        token.close()
        again.close()
    assert [r.body for r in server.requests] == [server.requests[0].body] * 2
    assert read_secret().encode() in server.requests[0].body


def test_a_token_of_secrets_that_are_texts_stays(caplog: pytest.LogCaptureFixture) -> None:
    travel.tell.cache_clear()
    token = OpenIDToken(token_url="https://id.example", client_id="c", client_secret=KEY)
    chat = ChatPAIS(model="m", base_url="https://pais.example", api_key=token)
    assert pickle.loads(pickle.dumps(chat)).api_key is None
    assert "api_key" in caplog.text
    with pytest.raises(errors.ConfigurationError, match="client_secret=read_secret"):
        pickle.dumps(token)


@pytest.mark.parametrize("value", [None, 7])
def test_a_secret_that_is_no_text_is_refused(value: Any) -> None:
    source = {None: lambda: None, 7: lambda: 7}[value]
    token = OpenIDToken(token_url="http://127.0.0.1:1", client_id="c", client_secret=source)  # type: ignore[arg-type]
    with pytest.raises(errors.ServiceError) as caught:
        token()
    assert isinstance(caught.value, errors.ConfigurationError) is (value == 7)


def test_a_function_s_secret_that_the_provider_echoes_is_not_shown(tmp_path: Path) -> None:
    with FaultServer() as server:
        server.replies(json_reply({"error": "invalid_client", "is": read_secret()}, 401))
        token = OpenIDToken(token_url=server.url, client_id="c", client_secret=read_secret)
        with pytest.raises(errors.AuthenticationError) as caught:
            token()
        token.close()
    assert read_secret() not in f"{caught.value} {vars(caught.value)}"
