"""Which addresses and headers a call may have."""

from collections.abc import Mapping, Sequence
from typing import Any

import httpx
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from qaip_core import Connection
from qaip_core.backends import qaip
from qaip_core.errors import ConfigurationError
from support.backends import KEY
from support.fault_server import FaultServer
from support.faults.matrix import spread
from support.faults.subjects import CORE, SUBJECTS, Subject

SECRET = "hunter2-never-shown"
ASKING = [s for s in SUBJECTS if s.layer != "core" or s.streams]
BOTH = [s for s in CORE if (s.service, s.operation) == ("perplexity", "chat") and s.streams]
ONCE = [s for s in SUBJECTS if s.layer != "core" or (s.streams and not s.is_async)]


def each(values: Mapping[str, str]) -> pytest.MarkDecorator:
    """Run a test for each value: at each endpoint of the core, and with some of the classes."""
    parts = spread([ONCE] * len(values))
    params = [
        pytest.param(subject, value, id=f"{name}-{subject.name}")
        for (name, value), subjects in zip(values.items(), parts, strict=True)
        for subject in subjects
    ]
    return pytest.mark.parametrize(("subject", "value"), params)


# Base URLs

REFUSED: Mapping[str, str] = {
    "user info": f"https://me:{SECRET}@x.example",
    "a host before the host": f"https://good.example@{SECRET}.example",
    "a query": f"https://x.example/v1?key={SECRET}",
    "a fragment": f"https://x.example/v1#{SECRET}",
    "a line feed": f"https://x.example/v1\n{SECRET}",
    "a carriage return and a header": f"https://x.example\r\nx-key: {SECRET}",
    "a null": f"https://x.example\x00.{SECRET}",
    "a blank": f"https://x.example/{SECRET} v1",
    "a blank that is not of ASCII": f"https://x.example/\u00a0{SECRET}",
    "a letter of no width": f"https://x\u200b.example/{SECRET}",
    "a direction mark": f"https://x.example/\u202e{SECRET}",
    "half of a character": f"https://\ud800.example/{SECRET}",
    "a backslash before the path": f"https://x.example\\{SECRET}",
    "a backslash in the path": f"https://x.example/\\{SECRET}",
    "no host": f"http:///{SECRET}",
    "no slashes": f"https:{SECRET}.example",
    "no scheme": f"{SECRET}.example/v1",
    "a script": f"javascript:alert('{SECRET}')",
    "a file": f"file:///etc/{SECRET}",
    "data": f"data:text/plain,{SECRET}",
    "a socket": f"ws://{SECRET}.example",
    "a port too large": f"https://x.example:99999/{SECRET}",
    "a port below zero": f"https://x.example:-1/{SECRET}",
    "a port in letters": f"https://x.example:{SECRET}",
    "a port in other digits": f"https://x.example:٣/{SECRET}",
    "an open bracket": f"https://[::1/{SECRET}",
    "brackets around a name": f"https://[{SECRET}]",
    "an address of the future": f"https://[v1.{SECRET}]",
    "a zone": f"https://[fe80::1%25{SECRET}]",
    "a host in percents": f"https://x%2eexample/{SECRET}",
    "two dots in a row": f"https://x..example/{SECRET}",
    "a dot and no host": f"https://./{SECRET}",
    "two hosts": f"https://x.example,{SECRET}",
    "a semicolon": f"https://x.example;{SECRET}",
    "an ideographic full stop": f"https://127。0。0。1/{SECRET}",
    "a part of 64 letters": f"https://{'a' * 64}.example/{SECRET}",
}


@each(REFUSED)
def test_a_base_url_with_more_than_an_address_is_refused(subject: Subject, value: str) -> None:
    with pytest.raises(ConfigurationError, match="base_url") as caught:
        subject.make(value)
    assert SECRET not in f"{caught.value!r} {vars(caught.value)}"
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


CLEAR: Sequence[str] = [
    "http://x.example",
    "http://127.0.0.1.evil.example",
    "http://localhost.evil.example",
    "http://localhost.",
    "http://evil-localhost",
    "http://0.0.0.0",
    "http://[::]",
    "http://10.0.0.1",
    "http://169.254.169.254",
    "http://127.1",
    "http://0x7f.1",
    "http://0177.0.0.1",
    "http://2130706433",
    "HTTP://X.EXAMPLE",
]  # fmt: skip


@each({url: url for url in CLEAR})
def test_no_key_goes_in_clear_text_to_what_only_looks_like_this_machine(
    subject: Subject, value: str
) -> None:
    with pytest.raises(ConfigurationError, match="clear text"):
        subject.make(value)


@pytest.mark.parametrize("url", ["https://x.example.", "https://xn--mnchen-3ya.example/v1"])
@pytest.mark.parametrize("subject", BOTH, ids=repr)
def test_unusual_hosts_are_hosts(subject: Subject, url: str) -> None:
    assert subject.make(url)


@pytest.mark.parametrize("host", ["xn--zz--.example", "ⅼocalhost"])
@pytest.mark.parametrize("subject", BOTH, ids=repr)
def test_a_host_that_only_the_library_can_refuse_is_a_mistake_too(
    subject: Subject, host: str
) -> None:
    outcome = subject.ask(f"https://{host}")
    assert outcome.kind is ConfigurationError
    assert "base_url" in str(outcome.error)


def test_dots_in_a_path_are_resolved_before_it_is_sent(server: FaultServer) -> None:
    server.reset()
    BOTH[0].ask(f"{server.url}/v1/../v2")
    assert server.requests[0].path == "/v2/chat/completions"


PARTS = st.sampled_from(
    [*":/@?#[]\\%.;,\t\n \u3002\u200b", "https:", "//", "x.example", "::1", "1"]
)


@given(st.lists(PARTS | st.characters(), max_size=8).map("".join))
@example("//x.example:1@evil.example")
@example("//[::1]evil.example")
@example("//\u00c0:")
@settings(max_examples=300, deadline=None)
def test_a_base_url_that_is_taken_means_the_same_host_to_the_one_who_connects(rest: str) -> None:
    try:
        url = Connection(api_key=KEY, base_url=f"https:{rest}").settings(qaip.QAIP).base_url
        read = httpx.URL(url)
    except (ConfigurationError, httpx.InvalidURL, UnicodeError):  # refused, here or there
        return
    assert url.isprintable()
    assert read.userinfo == b""
    assert read.query == b""
    host = url.removeprefix("https://").partition("/")[0].removesuffix(":")
    assert read.netloc.decode() in (host.lower(), host.encode("idna").decode().lower(), _port(host))


def _port(host: str) -> str:
    """The host without the port that goes without saying."""
    name, _, port = host.lower().rpartition(":")
    return name if port in ("", "443") else host


# Headers

BROKEN: Mapping[str, str] = {
    "a line feed": f"{SECRET}\nx: y",
    "a carriage return": f"{SECRET}\r\nx: y",
    "a null": f"{SECRET}\x00",
    "a letter not of ASCII": f"{SECRET}é",
    "a letter of no width": f"{SECRET}\u200b",
    "half of a character": f"{SECRET}\ud800",
    "a tab": f"{SECRET}\t",
}


@each(BROKEN)
@pytest.mark.parametrize("place", ["the key", "a header", "a header's name"])
def test_what_would_break_out_of_a_header_is_refused_unseen(
    subject: Subject, place: str, value: str
) -> None:
    fields: Mapping[str, Mapping[str, Any]] = {
        "the key": {"api_key": value},
        "a header": {"default_headers": {"x-gate": value}},
        "a header's name": {"default_headers": {value: "x"}},
    }
    with pytest.raises(ConfigurationError) as caught:
        subject.make("https://x.example", **fields[place])
    assert SECRET not in f"{caught.value!r} {vars(caught.value)}"


@pytest.mark.parametrize("name", ["", "x y", "x:y", "x(y)", 'x"y', "x/y"])
def test_a_header_has_a_name_of_the_standard(name: str) -> None:
    with pytest.raises(ConfigurationError, match="a name is empty or holds"):
        BOTH[0].make("https://x.example", default_headers={name: "v"})


@pytest.mark.parametrize("value", BROKEN.values(), ids=BROKEN)
@pytest.mark.parametrize("subject", BOTH, ids=repr)
def test_a_key_from_a_callable_is_looked_at_too(
    subject: Subject, value: str, server: FaultServer
) -> None:
    server.reset()
    outcome = subject.ask(server.url, api_key=lambda: value)
    assert outcome.kind is ConfigurationError
    assert SECRET not in f"{outcome.error!r} {vars(outcome.error)}"
    assert server.requests == []


ODD = "q\r\nx: y\x00 \u2028 é \u202e \U0001f375"


@pytest.mark.parametrize("subject", [s for s in ASKING if s.service == "dify"], ids=repr)
def test_a_user_with_odd_letters_stands_in_the_body(subject: Subject, server: FaultServer) -> None:
    server.reset()
    server.replies(subject.speeches[0].answer("tea", stream=True))
    assert subject.ask(server.url, user=ODD).error is None
    request = server.requests[0]
    assert request.json()["user"] == ODD
    assert "x" not in request.headers


@pytest.mark.parametrize("subject", [s for s in CORE if s.service == "fireworks"], ids=repr)
def test_a_model_with_odd_letters_stands_in_the_body(subject: Subject, server: FaultServer) -> None:
    server.reset()
    server.replies(subject.speeches[0].answer("tea", stream=subject.streams))
    assert subject.ask(server.url, model=ODD).error is None
    assert server.requests[0].json()["model"] == ODD
