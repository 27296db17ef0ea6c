"""The site in a browser: it opens without complaint and asks no other host."""

import functools
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

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


def _is_icon(message: Any) -> bool:
    """Tell the browser's own search for an icon, where a picture is opened by itself."""
    return str(message.location.get("url", "")).endswith("/favicon.ico")


@pytest_asyncio.fixture(loop_scope="session")
async def page(browser: Any, address: str) -> Any:
    """A page that must not complain, nor ask another host."""
    context = await browser.new_context()
    context.set_default_timeout(5000)
    page = await context.new_page()
    complaints: list[str] = []
    asked: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on(
        "console", lambda message: None if _is_icon(message) else complaints.append(message.text)
    )
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


@pytest.mark.parametrize(
    ("words", "path", "place"),
    [
        ("v1/v1", "errors.html", 1),
        ("how do I set a proxy", "how-to/proxies.html", 1),
        ("ChatQaip", "qaip.html", 2),
        ("stream cut", "streams.html", 1),
        ("MissingKeyError", "errors.html", 1),
        ("langchain-perplexity", "migration/langchain-perplexity.html", 1),
        ("qaip doctor", "command.html", 1),
    ],
)
async def test_the_search_puts_a_page_among_the_first(
    page: Any, address: str, words: str, path: str, place: int
) -> None:
    await page.goto(f"{address}/index.html")
    await page.locator("input.md-search__input").fill(words)
    firsts = page.locator(".md-search-result__item > a:first-child")
    await firsts.first.wait_for()
    found = [urlsplit(await link.get_attribute("href")).path for link in await firsts.all()]
    assert f"/{path}" in found[:place]


@pytest.mark.parametrize(("width", "columns"), [(1280, 92), (1440, 100)])
async def test_code_is_read_without_scrolling(
    page: Any, address: str, width: int, columns: int
) -> None:
    await page.set_viewport_size({"width": width, "height": 800})
    await page.goto(f"{address}/errors.html")
    code = page.locator("article .language-python pre > code").first
    await code.evaluate("(code, columns) => { code.textContent = 'x'.repeat(columns) }", columns)
    assert await code.evaluate("code => code.scrollWidth <= code.clientWidth")


async def test_a_wide_table_keeps_its_first_column_on_a_telephone(page: Any, address: str) -> None:
    await page.set_viewport_size({"width": 390, "height": 800})
    await page.goto(f"{address}/index.html")
    table = page.locator(".md-typeset__scrollwrap", has_text="langchain-openai")
    await table.wait_for()
    await table.evaluate("table => table.scrollTo(table.scrollWidth, 0)")
    first, second = table.locator("tbody td").nth(0), table.locator("tbody td").nth(1)
    assert (await first.bounding_box())["x"] >= 0
    assert (await second.bounding_box())["x"] < (await first.bounding_box())["x"]


async def test_the_picture_of_an_answer_opens_by_itself(page: Any, address: str) -> None:
    await page.goto(f"{address}/index.html")
    await page.locator("article a:has(img)").first.click()
    await page.wait_for_url("**/images/cited-answer.svg")


async def test_dark_is_remembered_on_the_next_page(page: Any, address: str) -> None:
    await page.emulate_media(color_scheme="dark")
    await page.goto(f"{address}/index.html")
    assert await page.locator("body").get_attribute("data-md-color-scheme") == "slate"
    await page.locator("label[title='Switch to light mode']").click()
    await page.goto(f"{address}/perplexity.html")
    assert await page.locator("body").get_attribute("data-md-color-scheme") == "default"
