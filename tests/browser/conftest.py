"""Chromium, and the page of a sandbox in it.

The whole session shares one browser and one event loop; every test has a context of its own.
"""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from qaip_sandbox import Sandbox

NAMES = ("chromium", "chromium-browser", "google-chrome")
DOCS = Path(__file__).parents[1] / "sandbox" / "docs"
QUESTION = "How long are returns accepted?"

Open = Callable[..., Awaitable[Any]]
Ask = Callable[..., Awaitable[int]]


def chromium() -> str:
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    return os.environ.get("CHROMIUM") or found or pytest.skip("no Chromium: apt install chromium")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Any]:
    reason = "no Playwright: `make test-browser` installs it"
    api = pytest.importorskip("playwright.async_api", reason=reason)
    path = chromium()
    async with api.async_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        running = await playwright.chromium.launch(executable_path=path, args=arguments)
        yield running
        await running.close()


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(DOCS) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def open_page(browser: Any) -> AsyncIterator[Open]:
    """Open a page in a context of its own; what it complains about fails the test."""
    complaints: list[str] = []
    contexts: list[Any] = []

    async def opened(url: str, **settings: Any) -> Any:
        context = await browser.new_context(**settings)
        context.set_default_timeout(5000)
        contexts.append(context)
        page = await context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda message: complaints.append(message.text))
        await page.goto(url)
        await page.locator("#live", has_text="live").wait_for()
        return page

    yield opened
    for context in contexts:
        await context.close()
    # Chromium reports every refusal and every cut connection of a service, which tests ask for.
    assert [c for c in complaints if not c.startswith("Failed to load resource")] == []


@pytest.fixture
def ask(sandbox: Sandbox) -> Ask:
    """Ask Qaip in a thread, as a user's application would; return the status."""

    def asked(**more: Any) -> int:
        body = {"messages": [{"role": "user", "content": QUESTION}], **more}
        headers = {"x-api-key": sandbox.env["QAIP_API_KEY"]}
        url = sandbox.env["QAIP_BASE_URL"] + "/completions"
        return httpx.post(url, json=body, headers=headers).status_code

    async def soon(**more: Any) -> int:
        return await asyncio.to_thread(asked, **more)

    return soon
