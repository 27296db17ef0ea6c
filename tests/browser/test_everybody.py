"""Strangers' text, narrow windows, the keyboard, and readers who hear the page."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest

from qaip_sandbox import Sandbox

pytestmark = pytest.mark.asyncio(loop_scope="session")

PANELS = ("requests", "documents", "try", "behaviour", "environment")
EVIL = '<script>window.hit = 1</script> <img src=x onerror="window.hit = 2"> <svg onload=hit=3>'
COMPLAINTS = (
    "addEventListener('securitypolicyviolation', e => (window.blocked ??= []).push(e.blockedURI))"
)


async def test_hostile_documents_and_requests_run_no_script(open_page: Any, tmp_path: Path) -> None:
    (tmp_path / "<img src=x onerror=hit=4>.md").write_text(
        f"# {EVIL}\n\nThe beacon glows {EVIL} red."
    )
    with Sandbox(tmp_path) as sandbox:
        page = await open_page(sandbox.url)
        await page.evaluate(COMPLAINTS)
        url, key = sandbox.env["PERPLEXITY_BASE_URL"], sandbox.env["PERPLEXITY_API_KEY"]
        body = {
            "model": "sonar",
            "messages": [{"role": "user", "content": f"The beacon glows? {EVIL}"}],
        }
        headers = {"Authorization": f"Bearer {key}", "x-evil": EVIL, "x-sandbox-label": EVIL}
        await asyncio.to_thread(httpx.post, f"{url}/chat/completions", json=body, headers=headers)
        await asyncio.to_thread(httpx.get, f"{url}/%3Cimg src=x onerror=hit=5%3E", headers=headers)
        await page.locator("#requests-list li").nth(1).wait_for()
        await page.locator("#requests-list a").last.click()
        await page.locator("#request mark").first.wait_for()
        assert "onerror" in await page.locator("#request .text").inner_text()
        await page.goto(f"{sandbox.url}/#/documents/{sandbox.documents[0].id}")
        await page.locator("#document .text").wait_for()
        await page.goto(f"{sandbox.url}/#/try")
        await page.locator("#try-send").click()
        await page.locator("#news", has_text="Answer ended").wait_for(state="attached")
        assert await page.evaluate("[window.hit, window.blocked]") == [None, None]
        assert await page.locator("main script, main img, main svg").count() == 0


async def test_the_policy_stops_markup_that_the_page_would_let_through(
    browser: Any, sandbox: Sandbox
) -> None:
    page = await browser.new_page()
    await page.goto(sandbox.url)
    markup = "document.body.innerHTML = '<img src=x onerror=\"window.hit = 1\">'"
    assert "TrustedHTML" in await page.evaluate(f"try {{ {markup} }} catch (e) {{ String(e) }}")
    await page.close()


@pytest.mark.parametrize("width", [320, 720])
async def test_no_window_scrolls_sideways(
    open_page: Any, ask: Any, sandbox: Sandbox, width: int
) -> None:
    await ask()
    page = await open_page(sandbox.url, viewport={"width": width, "height": 800})
    places = [*PANELS, "requests/1", f"documents/{sandbox.documents[0].id}"]
    for place in places:
        await page.goto(f"{sandbox.url}/#/{place}")
        await page.wait_for_timeout(60)
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), place


async def test_a_narrow_window_shows_the_list_or_one_request(
    open_page: Any, ask: Any, sandbox: Sandbox
) -> None:
    await ask()
    page = await open_page(sandbox.url, viewport={"width": 390, "height": 800})
    await page.locator("#requests-list a").click()
    await page.locator("#request mark").wait_for()
    assert not await page.locator("#requests-list").is_visible()
    await page.get_by_role("link", name="All requests").click()
    assert await page.locator("#requests-list").is_visible()


async def test_the_keyboard_reaches_a_request_and_its_sources(
    open_page: Any, ask: Any, sandbox: Sandbox
) -> None:
    for _ in range(3):
        await ask()
    page = await open_page(sandbox.url)
    await page.locator("#requests-list li").nth(2).wait_for()
    press = page.keyboard.press

    async def tab_to(selector: str) -> None:
        for _ in range(30):
            await press("Tab")
            if await page.evaluate("s => document.activeElement.matches(s)", selector):
                return
        pytest.fail(f"Tab does not reach {selector}")

    await press("Tab")
    assert await page.evaluate("document.activeElement.textContent") == "Skip to the content"
    await tab_to("#requests-list a")
    await press("ArrowDown")
    await press("Enter")
    await page.locator("#request h2", has_text="#2").wait_for()
    await tab_to("#request .answer .marker")
    await press("Enter")
    await page.locator("#request mark").wait_for()


async def test_the_keyboard_sends_a_call(open_page: Any, sandbox: Sandbox) -> None:
    page = await open_page(f"{sandbox.url}/#/try")
    await page.get_by_label("Body").focus()
    await page.keyboard.press("Control+Enter")
    await page.locator("#news", has_text="Answer ended").wait_for(state="attached")
    assert len(sandbox.requests) == 1


NAMELESS = """[...document.querySelectorAll("input, select, textarea, button, a, pre[tabindex]")]
  .filter((it) => !it.labels?.length && !it.getAttribute("aria-label") && !it.textContent.trim())
  .map((it) => it.outerHTML)"""


async def test_every_control_has_a_name(open_page: Any, ask: Any, sandbox: Sandbox) -> None:
    await ask()
    page = await open_page(f"{sandbox.url}/#/requests/1")
    await page.locator("#request mark").wait_for()
    assert await page.evaluate(NAMELESS) == []


async def test_ids_are_unique(open_page: Any, sandbox: Sandbox) -> None:
    page = await open_page(sandbox.url)
    ids = await page.evaluate("[...document.querySelectorAll('[id]')].map((it) => it.id)")
    assert len(ids) == len(set(ids))


CONTRAST = """(scheme) => {
  const light = (color) => {
    const [r, g, b] = color.match(/[\\d.]+/g).slice(0, 3).map((part) => part / 255)
      .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (it) => {
    for (; it; it = it.parentElement) {
      const color = getComputedStyle(it).backgroundColor;
      if (!/, 0\\)$/.test(color)) return color;
    }
    return "rgb(255, 255, 255)";
  };
  const poor = [];
  for (const it of document.querySelectorAll("body *")) {
    const bare = [...it.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!bare || !it.checkVisibility() || it.disabled || it.matches("option, .unseen")) continue;
    const pair = [light(getComputedStyle(it).color), light(ground(it))];
    const [one, two] = pair.sort((a, b) => b - a);
    if ((one + 0.05) / (two + 0.05) < 4.5) poor.push(it.outerHTML.slice(0, 120));
  }
  return poor;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_text_stands_out_from_its_ground(
    open_page: Any, ask: Any, sandbox: Sandbox, scheme: str
) -> None:
    await ask()
    await ask(messages=[])
    settings = {"color_scheme": scheme, "reduced_motion": "reduce"}
    page = await open_page(f"{sandbox.url}/#/requests/1", **settings)
    await page.locator("#request mark").wait_for()
    for panel in ("requests/1", *PANELS[1:]):
        await page.goto(f"{sandbox.url}/#/{panel}")
        assert await page.evaluate(CONTRAST) == [], panel


async def test_the_page_follows_the_scheme_of_the_system(open_page: Any, sandbox: Sandbox) -> None:
    grounds = set()
    for scheme in ("light", "dark"):
        page = await open_page(sandbox.url, color_scheme=scheme)
        grounds.add(await page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert len(grounds) == 2
