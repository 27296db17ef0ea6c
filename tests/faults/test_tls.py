"""A service whose certificate does not prove who it is gets no request; the error says why."""

import asyncio
import datetime as dt
import os
import shutil
import ssl
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme
from pydantic import SecretStr

from qaip_core import AsyncClient, Client, Connection
from qaip_core.backends import pais, perplexity
from qaip_core.backends.pais import listing
from qaip_core.errors import (
    BadRequestError,
    ConfigurationError,
    ServiceConnectionError,
    ServiceError,
)
from qaip_core.knowledge import KnowledgeBase
from qaip_core.surroundings import unusable
from qaip_core.types import add_up
from support.backends import KEY, settings
from support.fault_server import FaultServer, Reply, json_reply
from support.faults.matrix import Row, check, incomplete, matrix, raised, thinned, whole
from support.faults.own_clients import ask_through
from support.faults.speech import PERPLEXITY, QAIP_RUN, Speech
from support.faults.subjects import CORE, SUBJECTS, Outcome, Subject

CA = trustme.CA()
STRANGER = trustme.CA()
HOUR = dt.timedelta(hours=1)


def shows(ca: trustme.CA = CA, host: str = "127.0.0.1", **dates: dt.datetime) -> ssl.SSLContext:
    """What a server shows."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert(host, **dates).configure_cert(context)
    return context


def demanding(**demands: Any) -> ssl.SSLContext:
    """A server that wants more than its clients offer."""
    context = shows()
    for name, value in demands.items():
        setattr(context, name, value)
    return context


def believes(ca: trustme.CA = CA, **limits: Any) -> ssl.SSLContext:
    """Whom a client believes."""
    context = ssl.create_default_context()
    ca.configure_trust(context)
    for name, value in limits.items():
        setattr(context, name, value)
    return context


BELIEVES = believes()


@dataclass(frozen=True)
class Fault:
    """Why the two sides do not come together.

    server: the server's side; None for one that speaks no TLS.
    client: the client's side.
    words: what stands in the error.
    scheme: how it is asked.
    certain: whether the request was certainly not sent.
    """

    name: str
    server: ssl.SSLContext | None
    words: str
    client: ssl.SSLContext = field(default_factory=lambda: BELIEVES)
    scheme: str = "https"
    certain: bool = True


NOW = dt.datetime.now(dt.UTC)
V2, V3 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
FAULTS: Sequence[Fault] = [
    Fault("nobody known", shows(STRANGER), "unable to get local issuer certificate"),
    Fault("expired", shows(not_after=NOW - HOUR), "certificate has expired"),
    Fault("of tomorrow", shows(not_before=NOW + HOUR), "certificate is not yet valid"),
    Fault("of another host", shows(host="other.example"), "certificate is not valid for"),
    Fault(
        "a newer protocol",
        demanding(minimum_version=V3),
        "check base_url",
        client=believes(maximum_version=V2),
    ),
    Fault("TLS for a plain port", None, "WRONG_VERSION_NUMBER"),
    Fault(
        "no TLS for a port of TLS", shows(), "check base_url", scheme="http", certain=False
    ),
]  # fmt: skip
CERTIFICATES = [fault for fault in FAULTS if "certificate" in fault.words]
ASKING = [s for s in SUBJECTS if s.layer != "core" or s.streams]
THIN = [
    pytest.param(fault, subject, id=f"{fault.name}-{subject.name}")
    for place, fault in enumerate(FAULTS)
    for subject in thinned(ASKING, place)
]
BOTH = [s for s in CORE if (s.service, s.operation) == ("perplexity", "chat") and s.streams]


@pytest.fixture(scope="module")
def servers() -> Iterator[Mapping[str, FaultServer]]:
    """The server of each fault."""
    running = {fault.name: FaultServer(fault.server) for fault in FAULTS}
    for server in running.values():
        server.__enter__()
    yield running
    for server in running.values():
        server.__exit__()


def tried_in_vain(
    fault: Fault, subject: Subject, servers: Mapping[str, FaultServer], **fields: Any
) -> ServiceError:
    """Ask, and check that nothing was said."""
    server = servers[fault.name]
    _, _, place = server.url.partition("://")
    outcome = ask_through(subject, f"{fault.scheme}://{place}", {"verify": fault.client}, **fields)
    assert server.requests == []
    assert isinstance(outcome.error, ServiceError)
    assert outcome.kind is ServiceConnectionError, repr(outcome.error)
    return outcome.error


@pytest.mark.parametrize(("fault", "subject"), THIN)
def test_nothing_is_sent_to_a_service_that_does_not_prove_who_it_is(
    fault: Fault, subject: Subject, servers: Mapping[str, FaultServer]
) -> None:
    error = tried_in_vain(fault, subject, servers)
    assert fault.words in str(error)
    assert "base_url" in str(error)
    assert error.unsent is fault.certain
    assert KEY not in f"{error!r} {vars(error)} {error.__cause__!r}"


@pytest.mark.parametrize("subject", BOTH, ids=repr)
@pytest.mark.parametrize("fault", CERTIFICATES, ids=lambda f: f.name)
def test_the_error_says_what_to_do_about_a_certificate(
    fault: Fault, subject: Subject, servers: Mapping[str, FaultServer]
) -> None:
    error = tried_in_vain(fault, subject, servers)
    assert "SSL_CERT_FILE" in str(error)
    assert "host name" in str(error)


@pytest.mark.parametrize("subject", BOTH, ids=repr)
@pytest.mark.parametrize("fault", CERTIFICATES, ids=lambda f: f.name)
def test_a_certificate_that_is_refused_is_not_looked_at_again(
    fault: Fault, subject: Subject, servers: Mapping[str, FaultServer]
) -> None:
    assert tried_in_vain(fault, subject, servers, max_retries=1).attempts == 1


# A service that proves who it is


@pytest.fixture(scope="module")
def proven() -> Iterator[FaultServer]:
    with FaultServer(shows()) as running:
        yield running


PROVEN: Sequence[Row] = [
    Row("an answer over TLS", lambda s: s.stream(*s.said("te", "a")), whole("tea")),
    Row(
        "a stream over TLS that is cut",
        lambda s: s.stream(s.piece("te"), s.piece("a"), end="cut"),
        incomplete("tea"),
    ),
    Row(
        "a stream over TLS that just ends",
        lambda s: s.stream(s.piece("te"), s.piece("a"), framing="close"),
        incomplete("tea"),
    ),
]


@matrix(PROVEN, subjects=ASKING, thin=True, applies=lambda _row, s: s is not QAIP_RUN)
def test_a_stream_over_tls(subject: Subject, speech: Speech, row: Row, proven: FaultServer) -> None:
    outcome = answered(proven, subject, row.replies(speech))
    check(outcome, row.expected, speech)


def answered(server: FaultServer, subject: Subject, reply: Any) -> Outcome:
    server.reset()
    server.replies(reply)
    return ask_through(subject, server.url, {"verify": BELIEVES})


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("subject", [s for s in CORE if s.streams], ids=repr)
def test_no_redirect_leads_out_of_tls(
    subject: Subject, status: int, proven: FaultServer, server: FaultServer
) -> None:
    server.reset()
    away = Reply(status=status, headers={"location": f"{server.url}/v1"}, framing="length")
    outcome = answered(proven, subject, away)
    check(outcome, raised(BadRequestError, f"{server.url}/v1"), subject.speeches[0])
    assert (len(proven.requests), server.requests) == (1, [])


ASK = """
import sys
from qaip_core import Client, Connection, ServiceError
from qaip_core.backends import perplexity
made = Connection(api_key="sk-12345678", base_url=sys.argv[1], max_retries=0)
try:
    answer = Client(made.settings(perplexity.PERPLEXITY)).complete(
        perplexity.CHAT, "q", {"model": "sonar"}
    )
except ServiceError as error:
    sys.exit(f"{type(error).__name__}: {error}")
print(answer.text)
"""


def asked_with_certificates_in(file: Path, url: str) -> subprocess.CompletedProcess[str]:
    """Ask in a process whose environment names a file of certificates."""
    return subprocess.run(
        [sys.executable, "-c", ASK, url],
        env={"SSL_CERT_FILE": str(file), "PATH": ""},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_a_private_ca_may_stand_in_the_environment(tmp_path: Path, proven: FaultServer) -> None:
    file = tmp_path / "ca.pem"
    CA.cert_pem.write_to_path(str(file))
    proven.reset()
    proven.replies(PERPLEXITY.answer("tea", stream=False))
    assert asked_with_certificates_in(file, proven.url).stdout == "tea\n"


def test_a_file_of_certificates_that_is_missing_is_a_mistake_of_configuration(
    tmp_path: Path, proven: FaultServer
) -> None:
    asked = asked_with_certificates_in(tmp_path / "missing.pem", proven.url)
    assert asked.stderr == (
        f"ConfigurationError: the certificates of SSL_CERT_FILE={str(tmp_path / 'missing.pem')!r} "
        "cannot be used (No such file or directory): correct it, or unset it "
        "(docs/errors.md#a-corporate-proxy)\n"
    )


@pytest.mark.parametrize(
    ("variable", "error", "words"),
    [
        (
            "SSL_CERT_FILE",
            ssl.SSLError("no"),
            "SSL_CERT_FILE='/ca' cannot be used (no certificates",
        ),
        (
            "SSL_CERT_DIR",
            PermissionError(13, "Denied"),
            "SSL_CERT_DIR='/ca' cannot be used (Denied",
        ),
        ("OTHER", FileNotFoundError(2, "No such file"), "with httpx cannot be read (No such file)"),
    ],
)
def test_certificates_that_cannot_be_read_are_named(
    variable: str, error: Any, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, "/ca")
    assert words in unusable(error)


# What is given as ``verify``

GOOD = PERPLEXITY.answer("tea", stream=False)
STREAMED = PERPLEXITY.answer("tea", stream=True)


OPENSSL = shutil.which("openssl")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the CA's certificate in a file, and under the name of its hash."""
    made = tmp_path_factory.mktemp("trusted")
    CA.cert_pem.write_to_path(str(made / "ca.pem"))
    if OPENSSL:
        hashed = [OPENSSL, "x509", "-hash", "-noout", "-in", str(made / "ca.pem")]
        name = subprocess.check_output(hashed, text=True, timeout=30).strip()
        CA.cert_pem.write_to_path(str(made / f"{name}.0"))
    return made


def asked(server: FaultServer, **fields: Any) -> list[str]:
    """Ask for a whole answer and for a stream, sync and async."""
    server.reset()
    server.replies(GOOD, STREAMED, GOOD, STREAMED)
    given = settings(perplexity.CHAT, server.url, **fields)
    values = {"model": "sonar"}
    with closing(Client(given)) as client:
        texts = [client.complete(perplexity.CHAT, "q", values).text]
        texts.append(add_up(client.stream(perplexity.CHAT, "q", values)).text)

    async def ask() -> None:
        other = AsyncClient(given)
        texts.append((await other.complete(perplexity.CHAT, "q", values)).text)
        pieces = [piece async for piece in other.stream(perplexity.CHAT, "q", values)]
        texts.append(add_up(pieces).text)
        await other.close()

    asyncio.run(ask())
    return texts


def ways(folder: Path) -> Mapping[str, Any]:
    return {
        "a file": str(folder / "ca.pem"),
        "a Path": folder / "ca.pem",
        "a folder": str(folder),
        "a context": BELIEVES,
        "nothing": False,
    }


@pytest.mark.parametrize("way", ways(Path()))
def test_a_private_ca_may_be_given(way: str, folder: Path, proven: FaultServer) -> None:
    if way == "a folder" and not OPENSSL:
        pytest.skip("there is no openssl to name the files of a folder")
    assert asked(proven, verify=ways(folder)[way]) == ["tea"] * 4


@pytest.mark.parametrize("verify", [None, True, "stranger"], ids=str)
def test_whoever_is_not_trusted_gets_nothing(
    verify: Any, tmp_path: Path, proven: FaultServer
) -> None:
    if verify == "stranger":
        verify = tmp_path / "stranger.pem"
        STRANGER.cert_pem.write_to_path(str(verify))
    with pytest.raises(ServiceConnectionError, match="as verify=") as caught:
        asked(proven, verify=verify)
    assert proven.requests == []
    assert caught.value.attempts == 1


def test_a_file_of_one_ca_trusts_no_others(folder: Path) -> None:
    with (
        FaultServer(shows(STRANGER)) as strange,
        pytest.raises(ServiceConnectionError, match="certificate"),
    ):
        asked(strange, verify=folder / "ca.pem")


def test_a_host_name_counts_with_a_private_ca_too(folder: Path) -> None:
    with (
        FaultServer(shows(host="other.example")) as other,
        pytest.raises(ServiceConnectionError, match="not valid for"),
    ):
        asked(other, verify=folder / "ca.pem")


def test_a_file_that_was_renewed_is_read_anew(tmp_path: Path, proven: FaultServer) -> None:
    file = tmp_path / "ca.pem"
    STRANGER.cert_pem.write_to_path(str(file))
    os.utime(file, (1, 1))
    with pytest.raises(ServiceConnectionError):
        asked(proven, verify=file)
    CA.cert_pem.write_to_path(str(file))
    assert asked(proven, verify=file) == ["tea"] * 4


WRONG: Mapping[str, tuple[Any, str]] = {
    "missing": ("missing.pem", "No such file"),
    "no certificates": ("words.pem", "no certificates"),
    "no path": ("a\0b", "is no path"),
    "nothing": ("", "cannot be used"),
    "a number": (7, "verify"),
}


@pytest.mark.parametrize(("verify", "words"), WRONG.values(), ids=WRONG.keys())
def test_what_is_no_proof_is_refused_when_the_object_is_made(
    verify: Any, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "words.pem").write_text("certainly\n")
    with pytest.raises(ConfigurationError, match=words):
        KnowledgeBase(api_key=KEY, base_url="https://site.example", verify=verify)


@pytest.mark.parametrize("name", ["http_client", "http_async_client"])
@pytest.mark.parametrize("verify", [True, False], ids=str)
def test_a_client_of_the_user_s_own_brings_its_own_proof(name: str, verify: bool) -> None:
    kind = httpx.Client if name == "http_client" else httpx.AsyncClient
    given: dict[str, Any] = {name: kind(verify=False)}
    with pytest.raises(ConfigurationError, match=f"give it to your {name}"):
        KnowledgeBase(api_key=KEY, base_url="https://site.example", verify=verify, **given)


@pytest.mark.parametrize(
    ("said", "trusts"),
    [("false", True), ("0", True), ("No", True), ("true", False), ("", False), ("file", True)],
)
def test_pais_reads_its_proof_from_the_environment(
    said: str, trusts: bool, folder: Path, proven: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PAIS_VERIFY_SSL", str(folder / "ca.pem") if said == "file" else said)
    proven.reset()
    proven.replies(json_reply({"data": [{"id": "tea"}]}))
    made = Connection(api_key=SecretStr(KEY), base_url=proven.url, max_retries=0)
    with closing(Client(made.settings(pais.PAIS))) as client:
        if trusts:
            assert [model.id for model in client.fetch(listing.MODELS)] == ["tea"]
            return
        with pytest.raises(ServiceConnectionError, match="verify="):
            client.fetch(listing.MODELS)


def test_other_services_do_not_read_that(
    proven: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PAIS_VERIFY_SSL", "false")
    with pytest.raises(ServiceConnectionError, match="verify="):
        asked(proven)
