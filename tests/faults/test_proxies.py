"""Who else gets to see a call on its way: proxies, and passwords that lie on the machine."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from qaip_core import ServiceError
from qaip_core.errors import ConfigurationError, ServiceConnectionError
from support.backends import KEY
from support.fault_server import FaultServer, html_reply
from support.faults.matrix import Row, check, matrix, thinned, whole
from support.faults.own_clients import ask_through
from support.faults.speech import QAIP_RUN, Speech
from support.faults.subjects import CORE, SUBJECTS, Subject

SECRET = "hunter2-never-shown"
ASKING = [s for s in SUBJECTS if s.layer != "core" or s.streams]
BOTH = [s for s in CORE if (s.service, s.operation) == ("perplexity", "chat") and s.streams]


@pytest.fixture(scope="module")
def proxy() -> Iterator[FaultServer]:
    with FaultServer() as running:
        running.replies(html_reply(502))
        yield running


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [n for n in os.environ if n.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)


VARIABLES = ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY")
ANSWER = [Row("an answer", lambda s: s.stream(*s.said("tea")), whole("tea"))]


@matrix(ANSWER, subjects=ASKING, thin=True, applies=lambda _row, s: s is not QAIP_RUN)
def test_this_machine_is_asked_without_a_proxy(  # noqa: PLR0917
    subject: Subject,
    speech: Speech,
    row: Row,
    server: FaultServer,
    proxy: FaultServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in VARIABLES:
        monkeypatch.setenv(name, proxy.url)
    server.reset()
    proxy.requests.clear()
    server.replies(row.replies(speech))  # type: ignore[arg-type]
    check(subject.ask(server.url), row.expected, speech)
    assert proxy.requests == []


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "[::1]", "127.0.0.2"],
)
@pytest.mark.parametrize("subject", BOTH, ids=repr)
def test_no_name_of_this_machine_goes_through_a_proxy(
    subject: Subject, host: str, proxy: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in VARIABLES:
        monkeypatch.setenv(name, proxy.url)
    proxy.requests.clear()
    assert subject.ask(f"http://{host}:1").kind is ServiceConnectionError
    assert proxy.requests == []


@pytest.mark.parametrize("status", [407, 502])
@pytest.mark.parametrize("subject", BOTH, ids=repr)
def test_a_proxy_that_refuses_is_a_connection_that_failed(
    subject: Subject, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FaultServer() as refusing:
        refusing.replies(html_reply(status))
        monkeypatch.setenv("HTTPS_PROXY", refusing.url.replace("//", f"//me:{SECRET}@"))
        outcome = subject.ask("https://x.example/v1")
        assert [request.method for request in refusing.requests] == ["CONNECT"]
        assert KEY not in str(refusing.requests[0].headers)
    assert outcome.kind is ServiceConnectionError
    assert isinstance(outcome.error, ServiceError)
    assert outcome.error.unsent
    assert f"{status} " in str(outcome.error)
    assert "HTTPS_PROXY" in str(outcome.error)
    assert SECRET not in f"{outcome.error!r} {vars(outcome.error)} {outcome.error.__cause__!r}"


@pytest.mark.parametrize("subject", BOTH, ids=repr)
def test_a_proxy_that_wants_another_password_is_not_asked_again(
    subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FaultServer() as refusing:
        refusing.replies(html_reply(407))
        monkeypatch.setenv("HTTPS_PROXY", refusing.url)
        subject.ask("https://x.example/v1", max_retries=1)
        assert len(refusing.requests) == 1


@pytest.mark.parametrize("address", [f"http://me:{SECRET}@127.0.0.1:1", f"me:{SECRET}@127.0.0.1:1"])
@pytest.mark.parametrize("subject", BOTH, ids=repr)
def test_a_proxy_that_is_not_there_is_a_connection_that_failed(
    subject: Subject, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", address)
    outcome = subject.ask("https://x.example/v1")
    assert outcome.kind is ServiceConnectionError
    assert SECRET not in f"{outcome.error!r} {vars(outcome.error)}"


UNUSABLE = [f"socks5://me:{SECRET}@127.0.0.1:1", f"gopher://me:{SECRET}@127.0.0.1:1"]


@pytest.mark.parametrize("address", UNUSABLE)
@pytest.mark.parametrize("subject", BOTH, ids=repr)
def test_a_proxy_of_no_known_kind_is_a_mistake_of_configuration(
    subject: Subject, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", address)
    outcome = subject.ask("https://x.example/v1")
    assert outcome.kind is ConfigurationError
    assert f"ALL_PROXY={address.replace(f'me:{SECRET}@', '')} cannot be used" in str(outcome.error)
    assert ('pip install "httpx[socks]"' in str(outcome.error)) is address.startswith("socks")
    assert "#a-corporate-proxy" in str(outcome.error)
    assert SECRET not in f"{outcome.error!r} {outcome.error.__cause__!r}"


SETTINGS = {
    "a port": ("https_proxy", f"http://me:{SECRET}/#?,@x.example:y", "http://x.example:y"),
    "no scheme": ("HTTP_PROXY", f"me:{SECRET}@x.example:y", "x.example:y"),
    "a range": ("NO_PROXY", "x.example,fd00::/8", "x.example,fd00::/8"),
}


@pytest.mark.parametrize(("name", "value", "shown"), SETTINGS.values(), ids=SETTINGS.keys())
def test_a_setting_that_cannot_be_read_is_shown_without_its_login(
    name: str, value: str, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv(name, value)
    outcome = BOTH[0].ask("https://x.example/v1")
    assert outcome.kind is ConfigurationError
    assert f"{name}={shown} cannot be used" in str(outcome.error)
    assert SECRET not in f"{outcome.error!r} {outcome.error.__cause__!r}"


@pytest.mark.parametrize("address", UNUSABLE)
@pytest.mark.parametrize("subject", BOTH, ids=repr)
def test_a_proxy_of_no_known_kind_does_not_matter_to_this_machine(
    subject: Subject, address: str, server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", address)
    server.reset()
    server.replies(subject.speeches[0].answer("tea", stream=True))
    assert subject.ask(server.url).text == "tea"


@pytest.mark.parametrize("subject", list(thinned(ASKING, 0)), ids=repr)
def test_a_client_of_one_s_own_keeps_its_proxy(
    subject: Subject, server: FaultServer, proxy: FaultServer
) -> None:
    proxy.reset()
    server.reset()
    proxy.replies(subject.speeches[0].answer("tea", stream=subject.wants_stream))
    outcome = ask_through(subject, server.url, {"proxy": proxy.url})
    assert outcome.error is None
    assert [request.path.startswith(server.url) for request in proxy.requests] == [True]
    assert server.requests == []


@pytest.mark.parametrize("place", ["NETRC", "HOME"])
@pytest.mark.parametrize("subject", list(thinned(ASKING, 1)), ids=repr)
def test_no_password_is_taken_from_a_netrc(
    subject: Subject,
    place: str,
    server: FaultServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = tmp_path / ".netrc"
    file.write_text(f"machine 127.0.0.1 login me password {SECRET}\n")
    file.chmod(0o600)
    monkeypatch.setenv(place, str(file if place == "NETRC" else tmp_path))
    server.reset()
    server.replies(subject.speeches[0].answer("tea", stream=subject.wants_stream))
    keys: Sequence[str | None] = [KEY, None] if subject.service == "pais" else [KEY]
    for key in keys:
        assert subject.ask(server.url, api_key=key).error is None
        sent = server.requests[-1].headers
        assert "Basic" not in str(sent)
        assert ("authorization" in sent or "x-api-key" in sent) is (key is not None)
