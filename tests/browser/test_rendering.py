"""A cited answer in a page, as a notebook shows it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import pytest_asyncio

from qaip_core.rendering import CitedAnswer

pytestmark = pytest.mark.asyncio(loop_scope="session")

Show = Callable[..., Awaitable[Any]]
EVIL = '"><img src=x onerror=hit=1></style><script>hit=2</script>'
PASSAGE = "The lens was cleaned, and two of its 84 prisms are chipped. " * 30
DARK = "--jp-layout-color1:#111;--jp-ui-font-color1:#fff;background:#111;color:#ddd"
LUMINANCE = """element => {
  const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true})
  canvas.fillStyle = getComputedStyle(element).backgroundColor
  canvas.fillRect(0, 0, 1, 1)
  return [...canvas.getImageData(0, 0, 1, 1).data]
}"""


def answer() -> CitedAnswer:
    text = f"Cleaned.[1] {'Lit in 1847 and so on. ' * 8}[2]"
    spans = [[[8, 11]], [[len(text) - 3, len(text)]], []]
    titles = ["Inspection", f"History {EVIL}", "Prices"]
    return CitedAnswer(text, [
        {"id": title, "title": title, "text": PASSAGE, "spans": found, "rank": rank,
         "url": f"https://a.example/{rank}", "page_number": 2}
        for rank, (title, found) in enumerate(zip(titles, spans, strict=True), start=1)
    ])  # fmt: skip


@pytest_asyncio.fixture(loop_scope="session")
async def show(browser: Any) -> AsyncIterator[Show]:
    """Put HTML into a page without a network."""
    contexts: list[Any] = []

    async def shown(html: str, style: str = "", **settings: Any) -> Any:
        context = await browser.new_context(offline=True, **settings)
        contexts.append(context)
        page = await context.new_page()
        page.set_default_timeout(5000)
        await page.set_content(f"<!doctype html><body style='{style}'>{html}")
        return page

    yield shown
    for context in contexts:
        await context.close()


async def test_a_marker_shows_its_source_to_a_mouse(show: Show) -> None:
    page = await show(answer().html())
    card = page.locator(".qaip-card").first
    assert not await card.is_visible()
    await page.locator(".qaip-mark").first.hover()
    assert await card.is_visible()
    said = await card.evaluate(
        "e => [...e.children].map(c => getComputedStyle(c, '::before').content)"
    )
    assert said[:2] == ['"Inspection"', '"p. 2 · a.example"']
    assert said[2].startswith('"The lens was cleaned')


async def test_a_marker_shows_its_source_to_a_keyboard_and_leads_to_it(show: Show) -> None:
    page = await show(answer().html())
    await page.keyboard.press("Tab")
    assert await page.locator(".qaip-card").first.is_visible()
    await page.keyboard.press("Enter")
    name = await page.locator("li:target").get_attribute("value")
    assert name == "1"


async def test_a_marker_leads_to_its_source_by_a_click(show: Show) -> None:
    page = await show(answer().html() + answer().html())
    await page.locator(".qaip-mark > a").nth(3).click()
    assert await page.locator("li").nth(4).evaluate("item => item.matches(':target')")


async def test_a_browser_s_own_tooltip_does_not_cover_the_card(show: Show) -> None:
    page = await show(answer().html())
    box = await page.locator(".qaip-pill").first.bounding_box()
    middle = [box["x"] + box["width"] / 2, box["y"] + box["height"] / 2]
    titled = "([x, y]) => document.elementFromPoint(x, y).closest('[title]') !== null"
    assert not await page.evaluate(titled, middle)


async def test_a_passage_unfolds(show: Show) -> None:
    page = await show(answer().html())
    passage = page.locator("blockquote").first
    assert not await passage.is_visible()
    await page.locator("summary").first.click()
    assert (await passage.inner_text()).strip() == PASSAGE.strip()


async def test_hostile_sources_run_nothing(show: Show) -> None:
    page = await show(answer().html())
    await page.locator(".qaip-mark").nth(1).hover()
    assert await page.evaluate("typeof hit") == "undefined"
    assert await page.locator("img, script").count() == 0
    assert EVIL in await page.locator(".qaip-title").nth(1).inner_text()


@pytest.mark.parametrize("width", [320, 420, 800])
async def test_nothing_sticks_out_of_the_page(show: Show, width: int) -> None:
    page = await show(answer().html(), viewport={"width": width, "height": 700})
    for place in (0, 1):
        await page.locator(".qaip-mark").nth(place).hover()
        card = await page.locator(".qaip-card").nth(place).bounding_box()
        assert card["x"] >= 0
        assert card["x"] + card["width"] <= width
        assert card["y"] >= 0
        assert card["width"] > 200
    assert await page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("dark", [False, True])
async def test_a_card_covers_what_is_below_it_in_the_theme_s_colours(
    show: Show, dark: bool
) -> None:
    page = await show(answer().html(), DARK if dark else "")
    await page.locator(".qaip-mark").first.hover()
    red, _, _, opaque = await page.locator(".qaip-card").first.evaluate(LUMINANCE)
    assert opaque == 255
    assert (red < 60) == dark


async def test_what_is_copied_is_the_answer_alone(show: Show) -> None:
    page = await show(answer().html())
    text = await page.evaluate(
        "() => { getSelection().selectAllChildren(document.querySelector('.qaip-text'));"
        " return getSelection().toString() }"
    )
    assert text.startswith("Cleaned.[1] Lit in 1847")
    assert "prisms" not in text


async def test_without_its_style_it_still_reads_well(show: Show) -> None:
    html = answer().html()
    bare = html[: html.index("<style>")] + html[html.index("</style>") + 8 :]
    page = await show(bare)
    said = await page.locator(".qaip-text").inner_text()
    assert said.startswith("Cleaned.[1] Lit in 1847")
    assert "prisms" not in said
    assert "prisms" in str(await page.locator("sup").first.get_attribute("title"))
