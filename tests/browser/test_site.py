"""The site in a browser: it opens without complaint and asks no other host."""

import functools
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

pytestmark = pytest.mark.asyncio(loop_scope="session")
SITE = Path(__file__).parents[2] / "site"


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 -- as its base names it
        pass


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    if not (SITE / "index.html").exists():
        pytest.skip("no site: `make docs` builds it")
    handler = functools.partial(Quiet, directory=str(SITE))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest_asyncio.fixture(loop_scope="session")
async def page(browser: Any, address: str) -> Any:
    """A page that must not complain, nor ask another host."""
    context = await browser.new_context()
    context.set_default_timeout(5000)
    page = await context.new_page()
    complaints: list[str] = []
    asked: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: complaints.append(message.text))
    page.on("request", lambda request: asked.append(request.url))
    yield page
    await context.close()
    assert complaints == []
    assert [url for url in asked if not url.startswith((address, "data:", "blob:"))] == []


@pytest.mark.parametrize(
    "path",
    [
        "index.html",
        "tutorials/first.html",
        "perplexity.html",
        "reference/langchain-chat-models.html",
        "examples/langchain.html",
        "reliability.html",
    ],
)
async def test_a_page_opens(page: Any, address: str, path: str) -> None:
    await page.goto(f"{address}/{path}")
    await page.locator("article h1").first.wait_for()
    for image in await page.locator("article img").all():
        assert await image.evaluate("image => image.complete && image.naturalWidth > 0")
    scrolls = "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
    assert await page.evaluate(scrolls)


async def test_a_page_is_not_wider_than_a_telephone(page: Any, address: str) -> None:
    await page.set_viewport_size({"width": 390, "height": 800})
    for path in ("index.html", "reference/langchain-chat-models.html", "reliability.html"):
        await page.goto(f"{address}/{path}")
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path


async def test_the_search_finds_a_parameter(page: Any, address: str) -> None:
    await page.goto(f"{address}/index.html")
    await page.locator("input.md-search__input").fill("stream_idle_timeout")
    await page.locator(".md-search-result__link").first.wait_for()


async def test_dark_is_remembered_on_the_next_page(page: Any, address: str) -> None:
    await page.emulate_media(color_scheme="dark")
    await page.goto(f"{address}/index.html")
    assert await page.locator("body").get_attribute("data-md-color-scheme") == "slate"
    await page.locator("label[title='Switch to light mode']").click()
    await page.goto(f"{address}/perplexity.html")
    assert await page.locator("body").get_attribute("data-md-color-scheme") == "default"
