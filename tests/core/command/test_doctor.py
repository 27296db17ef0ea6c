"""`qaip doctor`."""

import json
import os
import ssl
from pathlib import Path
from typing import Any

import pytest
import trustme

from qaip_core.command.doctor.installation import fits
from qaip_sandbox import Sandbox, Status
from support.fault_server import FaultServer, html_reply, json_reply

from .conftest import Run

SERVICES = ["qaip", "perplexity", "dify", "pais", "fireworks"]
Checks = dict[str, dict[str, Any]]


def checked(qaip: Run, *arguments: str, **environment: str) -> tuple[int, Checks]:
    """Return the exit code, and the checks by what they are of."""
    code, out, _ = qaip("doctor", "--json", *arguments, **environment)
    found = json.loads(out)
    assert found["ok"] == (code == 0)
    return code, {check["what"]: check for check in found["checks"]}


def of_service(qaip: Run, service: str, check: str, **environment: str) -> dict[str, Any]:
    _, found = checked(qaip, "--service", service, **environment)
    return found[f"{service} {check}"]


def test_nothing_set_up_is_no_fault(qaip: Run) -> None:
    code, found = checked(qaip)
    assert code == 0
    assert {found[service]["state"] for service in SERVICES} == {"-"}
    assert found["fireworks"]["found"] == "not set up (FIREWORKS_API_KEY)"
    assert "--docs FOLDER" in found["services"]["advice"]


def test_services_that_are_set_up_are_asked(qaip: Run, sandbox: Sandbox) -> None:
    code, found = checked(qaip, **sandbox.env)
    assert code == 0
    for service in SERVICES:
        for check in ("key", "address", "answers"):
            assert found[f"{service} {check}"]["state"] == "ok"
    assert found["perplexity answers"]["found"].endswith("2 models")
    assert "the app 'Sandbox'" in found["dify answers"]["found"]
    assert {record.method for record in sandbox.requests} == {"GET"}


def test_it_prints_lines_and_a_summary(qaip: Run, sandbox: Sandbox) -> None:
    code, out, err = qaip("doctor", **sandbox.env)
    assert (code, err) == (0, "")
    assert any(line.split()[:3] == ["ok", "qaip", "answers"] for line in out.splitlines())
    assert out.splitlines()[-1].startswith("Nothing failed.")


def test_no_key_is_ever_shown(qaip: Run, sandbox: Sandbox) -> None:
    for wrong in ("", "wrong-1847-"):
        keys = {n: wrong + v if n.endswith("KEY") else v for n, v in sandbox.env.items()}
        for form in ((), ("--json",)):
            code, out, err = qaip("doctor", *form, **keys)
            assert code == bool(wrong)
            for name, value in keys.items():
                assert not name.endswith("KEY") or value not in out + err


def test_offline_nothing_is_sent(qaip: Run, sandbox: Sandbox) -> None:
    code, found = checked(qaip, "--offline", **sandbox.env)
    assert code == 0
    assert "qaip address" in found
    assert "qaip answers" not in found
    assert sandbox.requests == []


def test_one_service_that_is_not_set_up_is_a_fault_if_it_was_asked_for(qaip: Run) -> None:
    code, found = checked(qaip, "--service", "dify")
    assert code == 1
    assert found["dify key"]["state"] == "fail"
    assert "DIFY_API_KEY" in found["dify key"]["found"]
    assert "qaip" not in found


@pytest.mark.parametrize(
    ("key", "words", "advice"),
    [
        ("pplx-of-another", "a key of Perplexity (set PERPLEXITY_API_KEY to it)", ""),
        ("'quoted-key'", "begins with a quote", "no quotes"),
        ("Bearer some-key", "leave 'Bearer ' out", "no 'Bearer'"),
        ("some-key ", "white space", "no blanks"),
        ("some-key\r", "control", "Set FIREWORKS_API_KEY to the key alone"),
    ],
)
def test_an_implausible_key_is_found_before_anything_is_sent(
    qaip: Run, sandbox: Sandbox, key: str, words: str, advice: str
) -> None:
    environment = {**sandbox.env, "FIREWORKS_API_KEY": key}
    code, found = checked(qaip, "--service", "fireworks", **environment)
    assert code == 1
    assert words in found["fireworks key"]["found"]
    assert advice in found["fireworks key"]["advice"]
    assert bool(advice) == bool(found["fireworks key"]["advice"])
    assert "fireworks answers" not in found
    assert sandbox.requests == []


def test_a_key_that_looks_like_another_s_is_asked_about(qaip: Run, sandbox: Sandbox) -> None:
    environment = {**sandbox.env, "FIREWORKS_API_KEY": "app-of-another"}
    check = of_service(qaip, "fireworks", "key", **environment)
    assert check["state"] == "warn"
    assert check["found"] == "FIREWORKS_API_KEY begins with 'app-', as keys of Dify do"


def test_a_key_of_another_may_be_a_gateway_s(qaip: Run) -> None:
    environment = {
        "FIREWORKS_API_KEY": "pplx-of-another",
        "FIREWORKS_API_BASE": "https://gateway.example/v1",
    }
    code, found = checked(qaip, "--offline", "--service", "fireworks", **environment)
    assert (code, found["fireworks key"]["state"]) == (0, "warn")
    assert "as keys of Perplexity do" in found["fireworks key"]["found"]


def test_the_two_keys_of_dify_are_not_mixed_up(qaip: Run, sandbox: Sandbox) -> None:
    mixed = {
        **sandbox.env,
        "DIFY_API_KEY": sandbox.env["DIFY_DATASET_API_KEY"],
        "DIFY_DATASET_API_KEY": sandbox.env["DIFY_API_KEY"],
    }
    code, found = checked(qaip, "--service", "dify", **mixed)
    assert code == 1
    assert "begins with 'dataset-'" in found["dify key"]["found"]
    assert "begins with 'app-'" in found["dify dataset key"]["found"]


def test_a_wrong_key_is_told_by_the_service(qaip: Run, sandbox: Sandbox) -> None:
    check = of_service(qaip, "qaip", "answers", **{**sandbox.env, "QAIP_API_KEY": "wrong-key"})
    assert check["state"] == "fail"
    assert "QAIP_API_KEY" in check["found"]


def test_a_key_that_may_not_do_it_is_a_right_one(qaip: Run, sandbox: Sandbox) -> None:
    sandbox.faults.add(Status(code=403, service="qaip"))
    assert of_service(qaip, "qaip", "answers", **sandbox.env)["state"] == "warn"


def test_a_call_that_the_vendor_has_ended_is_a_fault(qaip: Run) -> None:
    ended = {"error": {"message": "gone", "type": "agent_api_migration_required"}}
    with FaultServer() as server:
        server.replies(json_reply(ended, 403))
        environment = {"PERPLEXITY_API_KEY": "pplx-key", "PERPLEXITY_BASE_URL": server.url}
        check = of_service(qaip, "perplexity", "answers", **environment)
    assert check["state"] == "fail"
    assert "The successor is its Agent API" in check["found"]


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("not a url", "white space"),
        ("ftp://host", "https://"),
        ("https://user:pass@host/v1", "user info"),
        ("http://dify.example/v1", "clear text"),
    ],
)
def test_an_address_that_cannot_be_used_is_found(qaip: Run, url: str, words: str) -> None:
    code, found = checked(qaip, DIFY_API_KEY="app-some-key", DIFY_BASE_URL=url)
    assert code == 1
    assert words in found["dify address"]["found"]
    assert "DIFY_BASE_URL" in found["dify address"]["advice"]
    assert "dify answers" not in found


def test_an_address_and_a_key_are_told_apart(qaip: Run) -> None:
    wrong = {"DIFY_API_KEY": "two words", "DIFY_BASE_URL": "http://dify.example/v1"}
    _, found = checked(qaip, **wrong)
    assert "white space" in found["dify key"]["found"]
    assert "clear text" in found["dify address"]["found"]


def test_an_address_is_shown_as_it_is_used(qaip: Run, sandbox: Sandbox) -> None:
    url = sandbox.env["DIFY_BASE_URL"]
    environment = {**sandbox.env, "DIFY_BASE_URL": f"{url}/v1/completion-messages/"}
    check = of_service(qaip, "dify", "address", **environment)
    assert (check["state"], check["found"]) == ("ok", f"{url} (DIFY_BASE_URL)")


def test_nobody_at_the_address_is_told(qaip: Run) -> None:
    with FaultServer() as server:
        url = server.url
    check = of_service(qaip, "dify", "answers", DIFY_API_KEY="app-some-key", DIFY_BASE_URL=url)
    assert check["state"] == "fail"
    assert url in check["found"]
    assert check["advice"] == "Is the address in DIFY_BASE_URL the right one?"


def test_another_page_at_the_address_is_told(qaip: Run) -> None:
    with FaultServer() as server:
        server.replies(html_reply(404))
        environment = {"QAIP_API_KEY": "some-key", "QAIP_BASE_URL": server.url}
        check = of_service(qaip, "qaip", "answers", **environment)
    assert check["state"] == "fail"
    assert "base_url" in check["found"]
    assert "QAIP_BASE_URL" in check["advice"]


def test_a_private_ca_is_told(qaip: Run) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(tls)
    with FaultServer(tls) as server:
        environment = {"QAIP_API_KEY": "some-key", "QAIP_BASE_URL": server.url}
        check = of_service(qaip, "qaip", "answers", **environment)
    assert check["state"] == "fail"
    assert "SSL_CERT_FILE" in check["found"]


def test_a_certificate_that_is_not_checked_is_told(qaip: Run, sandbox: Sandbox) -> None:
    check = of_service(qaip, "pais", "certificate", **sandbox.env, PAIS_VERIFY_SSL="false")
    assert check["state"] == "warn"
    assert "PAIS_VERIFY_SSL" in check["advice"]


def test_a_site_without_authentication_is_possible(qaip: Run, sandbox: Sandbox) -> None:
    environment = {"PAIS_BASE_URL": sandbox.env["PAIS_BASE_URL"]}
    assert of_service(qaip, "pais", "key", **environment)["state"] == "warn"


def test_an_app_of_dify_that_hides_its_sources_is_told(qaip: Run, sandbox: Sandbox) -> None:
    sandbox.switch(dify={"citations": False})
    check = of_service(qaip, "dify", "sources", **sandbox.env)
    assert check["state"] == "warn"
    assert "Citations and Attributions" in check["advice"]


def test_a_proxy_is_shown_without_its_password(qaip: Run) -> None:
    with FaultServer() as proxy:
        proxy.replies(json_reply({}, 407))
        proxied = proxy.url.replace("//", "//me:hunter22@")
        environment = {"QAIP_API_KEY": "some-key", "HTTPS_PROXY": proxied, "NO_PROXY": "other"}
        code, found = checked(qaip, "--service", "qaip", **environment)
    assert code == 1
    assert found["proxy"]["found"] == f"HTTPS_PROXY {proxy.url}, NO_PROXY other"
    assert "407" in found["qaip answers"]["found"]
    assert "hunter22" not in str(found)


def test_a_proxy_that_cannot_be_used_is_told(qaip: Run) -> None:
    environment = {"QAIP_API_KEY": "some-key", "HTTPS_PROXY": "https://proxy:notaport"}
    check = of_service(qaip, "qaip", "answers", **environment)
    assert check["state"] == "fail"
    assert "HTTPS_PROXY=https://proxy:notaport cannot be used" in check["found"]


def test_certificates_that_are_not_there_are_told(qaip: Run, tmp_path: Path) -> None:
    _, found = checked(qaip, SSL_CERT_FILE=str(tmp_path / "no.pem"), SSL_CERT_DIR=str(tmp_path))
    assert found["SSL_CERT_FILE"]["state"] == "fail"
    assert found["SSL_CERT_DIR"]["state"] == "ok"


def test_a_variable_of_another_library_is_told(qaip: Run) -> None:
    _, found = checked(qaip, REQUESTS_CA_BUNDLE="/ca.pem")
    assert found["REQUESTS_CA_BUNDLE"]["found"] == "is set, but httpx does not read it"
    assert "SSL_CERT_FILE" in found["REQUESTS_CA_BUNDLE"]["advice"]


def distribution(folder: Path, name: str, version: str, metadata: str = "") -> None:
    """Pretend that a distribution is installed."""
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{metadata}"
    )


def test_versions_are_those_that_our_metadata_asks_for(qaip: Run) -> None:
    code, found = checked(qaip)
    assert code == 0
    for name in ("Python", "qaip-integrations", "httpx", "pydantic", "langchain-core"):
        assert found[name]["state"] == "ok"
    assert "extra sandbox" in found


@pytest.mark.parametrize(
    ("name", "version"), [("langchain-core", "1.5.9"), ("httpx", "1.0"), ("pydantic", "2.9.2")]
)
def test_a_version_outside_of_its_range_is_told(
    qaip: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, version: str
) -> None:
    distribution(tmp_path, name, version)
    monkeypatch.syspath_prepend(tmp_path)
    code, found = checked(qaip)
    assert code == 1
    assert found[name]["found"].startswith(f"{version} (>=")
    assert found[name]["advice"].startswith(f"pip install '{name}>=")


def test_the_distribution_of_the_same_import_name_is_told(
    qaip: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    distribution(tmp_path, "langchain-qaip", "0.1.5")
    distribution(tmp_path, "qaip-integrations", "9", "Requires-Python: >=3\n")
    monkeypatch.syspath_prepend(tmp_path)
    for origin, wanted in (
        (None, "qaip-integrations"),
        ({"url": "file:///a.whl"}, "file:///a.whl"),
        ({"url": "file:///a", "dir_info": {"editable": True}}, "-e file:///a"),
    ):
        if origin:
            info = tmp_path / "qaip_integrations-9.dist-info/direct_url.json"
            info.write_text(json.dumps(origin))
        code, found = checked(qaip)
        assert code == 1
        assert "langchain-qaip 0.1.5" in found["langchain_qaip"]["found"]
        assert found["langchain_qaip"]["advice"] == (
            "pip uninstall langchain-qaip, and then: "
            f"pip install --force-reinstall --no-deps {wanted}"
        )


def test_its_files_in_the_place_of_ours_are_told(
    qaip: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "langchain_qaip"
    package.mkdir()
    (package / "__init__.py").write_text("class QAIPRetriever: ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(__import__("sys").modules, "langchain_qaip", raising=False)
    code, found = checked(qaip)
    assert code == 1
    assert str(package) in found["langchain_qaip"]["found"]


def test_missing_extras_are_told_but_no_fault(
    qaip: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs = "Requires-Python: >=3.11\nRequires-Dist: httpx<1,>=0.27\n" + "".join(
        f"Requires-Dist: {name}>=3; extra == '{extra}'\n"
        for name, extra in (
            ("not-there-core", "langchain"),
            ("not-there", "sandbox"),
            ("rich", "cli"),
            ("neither-there", "cli"),
            ("pydantic", "sandbox-pdf"),
        )
    )
    distribution(tmp_path, "qaip-integrations", "9", needs)
    monkeypatch.syspath_prepend(tmp_path)
    code, found = checked(qaip)
    assert code == 0
    assert found["frameworks"]["state"] == "warn"
    assert found["extra sandbox"]["state"] == "-"
    assert found["extra sandbox"]["advice"] == "pip install 'qaip-integrations[sandbox]'"
    assert found["extra cli"]["state"] == "-"
    assert found["extra sandbox-pdf"]["state"] == "warn"


@pytest.mark.parametrize(
    ("found", "wanted", "is_met"),
    [
        ("0.28.1", ">=0.27,<1", True),
        ("0.27", ">=0.27.0", True),
        ("1.0.0", "<1", False),
        ("2.0.0rc1", ">=2", True),
        ("3.10.2", ">=3.11", False),
        ("1.4", "==1.4.0,!=1.5", True),
        ("1.4.9", "~=1.4.2", True),
        ("1.5", "~=1.4.2", False),
        ("1.5", "", True),
    ],
)
def test_versions_are_compared_as_numbers(found: str, wanted: str, *, is_met: bool) -> None:
    assert fits(found, wanted) == is_met


def test_the_environment_stays_as_it_is(qaip: Run, sandbox: Sandbox) -> None:
    before = {**os.environ, **sandbox.env}
    qaip("doctor", **sandbox.env)
    assert dict(os.environ) == before


def test_an_app_that_does_not_tell_whether_it_names_sources_is_let_be(qaip: Run) -> None:
    with FaultServer() as server:
        server.replies(json_reply({"name": "App", "mode": "chat"}), json_reply({}, 404))
        environment = {"DIFY_API_KEY": "app-some-key", "DIFY_BASE_URL": server.url}
        code, found = checked(qaip, "--service", "dify", **environment)
    assert code == 0
    assert found["dify answers"]["found"].endswith("the app 'App', of mode 'chat'")
    assert "dify sources" not in found


def test_a_copy_of_the_source_is_told(qaip: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    where = "qaip_core.command.doctor.installation"
    monkeypatch.setattr(f"{where}.DISTRIBUTION", "not-installed")
    code, found = checked(qaip)
    assert code == 0
    assert found["not-installed"]["advice"] == "pip install ."
    assert "httpx" not in found
