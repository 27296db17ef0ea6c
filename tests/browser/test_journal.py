"""What the page shows of the requests and of the documents."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from qaip_sandbox import Sandbox

pytestmark = pytest.mark.asyncio(loop_scope="session")

SENTENCE = "Lanternworks accepts returns within 45 days of delivery."


@pytest_asyncio.fixture(loop_scope="session")
async def page(open_page: Any, sandbox: Sandbox) -> Any:
    return await open_page(sandbox.url)


async def test_the_page_lists_the_documents(page: Any, sandbox: Sandbox) -> None:
    await page.get_by_role("link", name="Documents").click()
    rows = page.locator("#documents-list a")
    await rows.first.wait_for()
    paths = await rows.locator(".path").all_inner_texts()
    assert paths == [document.path for document in sandbox.documents]
    assert await page.locator("#documents-count").inner_text() == str(len(paths))


async def test_the_documents_can_be_filtered(page: Any) -> None:
    await page.get_by_role("link", name="Documents").click()
    await page.get_by_label("Filter the documents").fill("HANDBOOK leave")
    shown = page.locator("#documents-list a:visible .path")
    await page.locator("#documents-count", has_text="1 of").wait_for()
    assert await shown.all_inner_texts() == ["handbook/people/leave.md"]


async def test_a_document_shows_its_text_by_chunks(page: Any, sandbox: Sandbox) -> None:
    returns = next(d for d in sandbox.documents if d.path == "handbook/returns.md")
    await page.goto(f"{sandbox.url}/#/documents/{returns.id}")
    chunks = page.locator("#document .chunk-text")
    await chunks.first.wait_for()
    assert await chunks.all_text_contents() == [chunk.text for chunk in returns.chunks()]


async def test_a_request_appears_without_a_reload(page: Any, ask: Any) -> None:
    assert await page.get_by_text("No requests yet.").is_visible()
    await ask(stream=True)
    row = page.locator("#requests-list a")
    await row.wait_for()
    assert "/completions" in await row.inner_text()
    assert await row.locator(".status").inner_text() == "200"
    assert await page.locator("#news").inner_text() == (
        "New request: qaip /qaip/api/v1/completions, 200"
    )


async def test_a_stream_is_shown_as_open_until_its_end(
    page: Any, ask: Any, sandbox: Sandbox
) -> None:
    sandbox.physics = sandbox.physics.model_copy(update={"tokens_per_second": 40})
    asked = asyncio.ensure_future(ask(stream=True))
    await page.locator("#requests-list .chip.open").wait_for()
    await asked
    await page.locator("#requests-list .chip.open").wait_for(state="detached")


async def test_an_opened_request_marks_the_quoted_sentence_in_its_source(
    page: Any, ask: Any
) -> None:
    await ask()
    await page.locator("#requests-list a").click()
    mark = page.locator("#request mark")
    await mark.wait_for()
    assert await mark.inner_text() == SENTENCE
    assert SENTENCE in await page.locator("#request .answer").inner_text()
    assert "How long are returns accepted?" in await page.locator("#request .sent").inner_text()


async def test_a_marker_brings_its_source_into_sight(open_page: Any, tmp_path: Path) -> None:
    filler = "\n\n".join(f"Paragraph {number} is about nothing." for number in range(400))
    (tmp_path / "long.md").write_text(
        f"# Long \U0001f4a1\n\n{filler}\n\nThe beacon glows purple.\n", "utf-8"
    )
    with Sandbox(tmp_path) as sandbox:
        from playwright.async_api import expect

        page = await open_page(sandbox.url, viewport={"width": 1300, "height": 700})
        url, key = sandbox.env["PERPLEXITY_BASE_URL"], sandbox.env["PERPLEXITY_API_KEY"]
        body = {
            "model": "sonar",
            "messages": [{"role": "user", "content": "How does the beacon glow?"}],
        }
        headers = {"Authorization": f"Bearer {key}"}
        await asyncio.to_thread(httpx.post, f"{url}/chat/completions", json=body, headers=headers)
        await page.locator("#requests-list a").click()
        await page.locator("#request .answer .marker").first.click()
        mark = page.locator("#request mark", has_text="The beacon glows purple.")
        await expect(mark).to_be_in_viewport()


async def test_requests_can_be_filtered_and_cleared(page: Any, ask: Any, sandbox: Sandbox) -> None:
    await ask()
    await ask(messages=[])
    await page.locator("#requests-list li").nth(1).wait_for()
    await page.get_by_label("Filter the requests").fill("400")
    await page.locator("#requests-count", has_text="1 of 2").wait_for()
    assert await page.locator("#requests-list a:visible .no").all_inner_texts() == ["2"]
    await page.get_by_role("button", name="Clear").click()
    await page.get_by_text("No requests yet.").wait_for()
    assert sandbox.requests == []


async def test_a_thousand_requests_are_kept_up_with(page: Any, sandbox: Sandbox) -> None:
    headers = {"x-api-key": sandbox.env["QAIP_API_KEY"]}
    async with httpx.AsyncClient(base_url=sandbox.env["QAIP_BASE_URL"], headers=headers) as client:
        for _ in range(50):
            await asyncio.gather(*(client.get("/tags") for _ in range(20)))
    await page.locator("#requests-list li").nth(999).wait_for(state="attached")
    numbers = await page.locator("#requests-list .no").all_text_contents()
    assert numbers == [str(number) for number in range(1000, 0, -1)]


async def test_the_page_finds_the_sandbox_again(open_page: Any, tmp_path: Path) -> None:
    (tmp_path / "one.md").write_text("One fact.")
    sandbox = Sandbox(tmp_path).start()
    port = int(sandbox.url.rpartition(":")[2])
    page = await open_page(sandbox.url)
    await asyncio.to_thread(sandbox.stop)
    await page.locator("#live", has_text="reconnecting").wait_for()
    (tmp_path / "two.md").write_text("Two facts.")
    with Sandbox(tmp_path, port=port) as again:
        headers = {"x-api-key": again.env["QAIP_API_KEY"]}
        await asyncio.to_thread(httpx.get, again.env["QAIP_BASE_URL"] + "/tags", headers=headers)
        await page.locator("#requests-list a").wait_for()
        await page.locator("#holds", has_text="2 documents").wait_for()
