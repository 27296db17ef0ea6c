"""Who may speak to the sandbox, and how much they may say."""

import http.client
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from qaip_sandbox import Sandbox

TOKEN = "correct-horse-battery"


@pytest.fixture(scope="module")
def guarded() -> Iterator[Sandbox]:
    with Sandbox(Path(__file__).parent / "docs", token=TOKEN) as running:
        yield running


HOSTS = {
    "127.0.0.1": True,
    "127.0.0.1:1234": True,
    "localhost:80": True,
    "[::1]:80": True,
    "192.168.1.5": True,  # an address cannot be rebound
    "evil.example": False,
    "localhost.evil.example": False,
    "127.0.0.1.evil.example": False,
    "": False,
    "127.0.0.1?": False,  # would be the end of a path for who makes a URL of it
    "127.0.0.1/": False,
    "127.0.0.1#": False,
    "user@127.0.0.1": False,
    "[::1": False,
}


@pytest.mark.parametrize(("host", "known"), HOSTS.items())
def test_only_a_host_of_this_machine_is_answered(sandbox: Sandbox, host: str, known: bool) -> None:
    response = httpx.get(sandbox.url, headers={"Host": host}, verify=False)
    assert response.status_code == (200 if known else 421)


def test_a_name_may_be_allowed(docs: Path) -> None:
    with Sandbox(docs, allowed_hosts=["sandbox.test"]) as sandbox:
        assert (
            httpx.get(sandbox.url, headers={"Host": "sandbox.test:80"}, verify=False).status_code
            == 200
        )


ORIGINS = {
    "http://evil.example": 403,
    "null": 403,
    "https://127.0.0.1": 403,
    "http://[": 403,
}


@pytest.mark.parametrize(("origin", "status"), ORIGINS.items())
@pytest.mark.parametrize("path", ["/", "/_sandbox/faults", "/dify/v1/info"])
def test_another_site_s_page_is_refused(
    sandbox: Sandbox, origin: str, status: int, path: str
) -> None:
    headers = {"Origin": origin, "Authorization": f"Bearer {sandbox.env['DIFY_API_KEY']}"}
    assert httpx.get(sandbox.url + path, headers=headers, verify=False).status_code == status


FETCHES = {
    ("cross-site", "no-cors", "/_sandbox/documents"): 403,
    ("same-site", "cors", "/dify/v1/info"): 403,
    ("cross-site", "navigate", "/_sandbox/documents"): 403,
    ("cross-site", "navigate", "/"): 200,  # a link to the page
    ("same-origin", "cors", "/_sandbox/documents"): 200,
    ("none", "navigate", "/_sandbox/documents"): 200,
}


@pytest.mark.parametrize(("fetch", "status"), FETCHES.items())
def test_a_browser_that_tells_whose_request_it_is_is_believed(
    sandbox: Sandbox, fetch: tuple[str, str, str], status: int
) -> None:
    site, mode, path = fetch
    headers = {
        "Sec-Fetch-Site": site,
        "Sec-Fetch-Mode": mode,
        "Authorization": f"Bearer {sandbox.env['DIFY_API_KEY']}",
    }
    assert httpx.get(sandbox.url + path, headers=headers, verify=False).status_code == status


@pytest.mark.parametrize("host", ["127.0.0.1?", "127.0.0.1/", "127.0.0.1#", "127.0.0.1%3f"])
def test_no_host_opens_what_the_token_guards(guarded: Sandbox, host: str) -> None:
    answer = httpx.get(guarded.url + "/_sandbox", headers={"Host": host}, verify=False)
    assert answer.status_code in (401, 421)
    assert TOKEN not in answer.text


def test_the_sandbox_s_own_page_is_answered(sandbox: Sandbox) -> None:
    assert httpx.get(sandbox.url, headers={"Origin": sandbox.url}, verify=False).status_code == 200


def test_a_token_is_the_key_of_every_service(guarded: Sandbox) -> None:
    keys = {name: value for name, value in guarded.env.items() if name.endswith("KEY")}
    assert set(keys.values()) == {TOKEN}
    url = guarded.env["DIFY_BASE_URL"] + "/info"
    assert (
        httpx.get(url, headers={"Authorization": f"Bearer {TOKEN}"}, verify=False).status_code
        == 200
    )
    assert (
        httpx.get(
            url, headers={"Authorization": "Bearer app-sandbox-key"}, verify=False
        ).status_code
        == 401
    )


@pytest.mark.parametrize("path", ["/", "/_sandbox", "/_sandbox/documents", "/_sandbox/requests"])
def test_the_page_and_the_control_paths_want_the_token(guarded: Sandbox, path: str) -> None:
    assert httpx.get(guarded.url + path, verify=False).status_code == 401
    wrong = {"Authorization": "Bearer wrong"}
    assert httpx.get(guarded.url + path, headers=wrong, verify=False).status_code == 401
    right = {"Authorization": f"Bearer {TOKEN}"}
    assert httpx.get(guarded.url + path, headers=right, verify=False).status_code == 200


def test_a_link_with_the_token_opens_the_page_once_for_all(guarded: Sandbox) -> None:
    with httpx.Client(base_url=guarded.url, verify=False) as client:
        answer = client.get("/", params={"token": TOKEN})
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        assert "HttpOnly" in answer.headers["set-cookie"]
        assert client.get("/_sandbox").status_code == 200
    assert httpx.get(guarded.url, params={"token": "wrong"}, verify=False).status_code == 401


def test_an_open_address_needs_a_token(docs: Path) -> None:
    with pytest.raises(ValueError, match="give a token"):
        Sandbox(docs, host="0.0.0.0")
    with pytest.raises(ValueError, match="at least 16"):
        Sandbox(docs, host="0.0.0.0", token="short")


def test_a_request_that_is_too_large_is_refused_in_the_service_s_words(docs: Path) -> None:
    with Sandbox(docs, largest_request=1000) as sandbox:
        answer = httpx.post(
            sandbox.env["PAIS_BASE_URL"] + "/completions",
            json={"model": "m", "prompt": "x" * 1000},
            headers={"Authorization": f"Bearer {sandbox.env['PAIS_API_KEY']}"},
            verify=False,
        )
        control = httpx.patch(
            sandbox.url + "/_sandbox/physics", json={"seed": 1, "x": "x" * 1000}, verify=False
        )
    assert answer.status_code == 413
    assert set(answer.json()) == {"detail"}
    assert control.status_code == 413


PATHS = ["/../etc/passwd", "/%2e%2e/etc/passwd", "/_sandbox/documents/..%2f..%2fetc%2fpasswd"]


@pytest.mark.parametrize("path", PATHS)
def test_a_path_leads_nowhere_but_to_documents(sandbox: Sandbox, path: str) -> None:
    connection = http.client.HTTPConnection(urlsplit(sandbox.url).netloc)
    connection.request("GET", path)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    assert answer.status == 404
    assert b"root:" not in body
