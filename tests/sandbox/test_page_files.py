import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from qaip_sandbox import Sandbox, page

STATIC = Path(page.__file__).parent / "static"
FILES = sorted(STATIC.iterdir(), key=lambda path: path.name)
BROWSER = {"Accept": "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"}
TOKEN = "a-token-of-some-length"

each_file = pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)


def test_a_browser_gets_the_page(sandbox: Sandbox) -> None:
    response = httpx.get(sandbox.url, headers=BROWSER, verify=False)
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert response.headers["vary"] == "Accept"
    assert '<main id="main"' in response.text


@pytest.mark.parametrize("accept", ["*/*", "application/json", ""])
def test_anybody_else_gets_the_list_of_the_services(sandbox: Sandbox, accept: str) -> None:
    response = httpx.get(sandbox.url, headers={"Accept": accept}, verify=False)
    assert response.headers["content-type"] == "application/json"
    assert response.headers["vary"] == "Accept"
    assert response.json()["dify"] == sandbox.env["DIFY_BASE_URL"]


@each_file
def test_a_file_is_served_with_its_type_and_the_policy(sandbox: Sandbox, path: Path) -> None:
    response = httpx.get(f"{sandbox.url}/_sandbox/page/{path.name}", verify=False)
    types = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
    assert response.headers["content-type"].startswith(types.get(path.suffix, "image/svg+xml"))
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.content == path.read_bytes()
    policy = response.headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy


@pytest.mark.parametrize("name", ["nothing.js", "__init__.py", "..%2f__init__.py", "%2e%2e", ""])
def test_nothing_else_is_served(sandbox: Sandbox, name: str) -> None:
    assert httpx.get(f"{sandbox.url}/_sandbox/page/{name}", verify=False).status_code == 404


def references() -> Iterator[tuple[str, str]]:
    for path in FILES:
        text = path.read_text("utf-8")
        found = re.findall(r'(?:from|import) "(\./[^"]+)"|(?:src|href)="(/[^"]+)"', text)
        yield from ((path.name, one or other) for one, other in found)


@pytest.mark.parametrize("reference", sorted(set(references())), ids=" ".join)
def test_a_file_that_is_asked_for_exists(reference: tuple[str, str]) -> None:
    assert reference[1].rpartition("/")[2] in {path.name for path in FILES}


@each_file
def test_a_file_asks_for_nothing_from_elsewhere(path: Path) -> None:
    text = path.read_text("utf-8").replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"https?://|\burl\(|@import|//cdn", text)


@each_file
def test_a_file_writes_text_as_text_only(path: Path) -> None:
    sinks = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|\beval\(|Function\("
    assert not re.search(sinks, path.read_text("utf-8"))


def test_the_page_has_no_script_or_style_within() -> None:
    text = (STATIC / "index.html").read_text("utf-8")
    assert re.findall(r"<script(?![^>]* src=)|<style|\sstyle=|\son\w+=", text) == []


@each_file
def test_a_file_is_small(path: Path) -> None:
    assert len(path.read_text("utf-8").splitlines()) <= 250


def test_the_page_is_not_in_the_journal(docs: Path) -> None:
    with Sandbox(docs) as sandbox:
        httpx.get(sandbox.url, headers=BROWSER, verify=False)
        httpx.get(f"{sandbox.url}/_sandbox/page/page.js", verify=False)
        assert sandbox.requests == []


def test_a_token_opens_the_page_and_its_files(docs: Path) -> None:
    with (
        Sandbox(docs, token=TOKEN) as sandbox,
        httpx.Client(base_url=sandbox.url, verify=False) as client,
    ):
        for path in ("/", "/_sandbox/page/page.js", "/_sandbox/events"):
            assert client.get(path, headers=BROWSER).status_code == 401
        client.get("/", params={"token": TOKEN}, headers=BROWSER)
        assert client.get("/", headers=BROWSER).status_code == 200
        assert client.get("/_sandbox/page/page.js").status_code == 200
