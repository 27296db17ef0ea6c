"""What can be tried and set on the page."""

from typing import Any

import pytest
import pytest_asyncio

from qaip_sandbox import Sandbox, Status

pytestmark = pytest.mark.asyncio(loop_scope="session")

SERVICES = ("qaip", "fireworks", "pais", "perplexity", "dify")


@pytest_asyncio.fixture(loop_scope="session")
async def page(open_page: Any, sandbox: Sandbox) -> Any:
    return await open_page(f"{sandbox.url}/#/try")


async def send(page: Any) -> str:
    """Send the form; return the answer when it has ended."""
    await page.locator("#try-send").click()
    await page.locator("#try-stop:disabled").wait_for()
    return str(await page.locator("#try-answer").inner_text())


@pytest.mark.parametrize("service", SERVICES)
async def test_every_call_shows_its_answer_whole_and_streamed(
    page: Any, sandbox: Sandbox, service: str
) -> None:
    given = (await (await page.request.get(f"{sandbox.url}/_sandbox/examples")).json())["calls"]
    calls = [call for call in given if call["service"] == service]
    await page.locator("#try-service").select_option(service)
    await page.get_by_label("Question").fill("How long are returns accepted?")
    for place, call in enumerate(calls):
        if not call["streamed"]:
            continue
        await page.locator("#try-call").select_option(str(place))
        for mode in ("streamed",) if call["only_streamed"] else ("whole", "streamed"):
            await page.get_by_role("radio", name=mode).check()
            assert "45 days" in await send(page), (call["name"], mode)
            assert sandbox.requests[-1].streamed == (mode == "streamed")
            assert "HTTP 200" in await page.locator("#try-wire").inner_text()


async def test_a_search_shows_its_results_and_the_wire(page: Any) -> None:
    await page.locator("#try-call").select_option(label="Search")
    await page.get_by_label("Question").fill("How long are returns accepted?")
    await send(page)
    assert "45 days" in await page.locator("#try-sources").inner_text()
    assert '"results":[' in await page.locator("#try-wire").inner_text()


async def test_a_stream_is_shown_as_it_arrives_and_can_be_stopped(
    page: Any, sandbox: Sandbox
) -> None:
    sandbox.physics = sandbox.physics.model_copy(update={"tokens_per_second": 4})
    await page.get_by_role("radio", name="streamed").check()
    await page.get_by_label("Question").fill("How long are returns accepted?")
    await page.locator("#try-send").click()
    await page.locator("#try-answer", has_text="Lanternworks").wait_for()
    assert "delivery" not in await page.locator("#try-answer").inner_text()
    await page.get_by_role("button", name="Stop").click()
    await page.get_by_text("Stopped.").wait_for()


async def test_a_tried_call_is_found_in_the_journal(page: Any) -> None:
    await send(page)
    await page.get_by_role("link", name="Open in the journal").click()
    await page.locator("#request h2").wait_for()
    assert "/qaip/api/v1/completions" in await page.locator("#request h2").inner_text()


async def test_a_body_that_is_no_json_is_not_sent(page: Any, sandbox: Sandbox) -> None:
    await page.get_by_label("Body").fill("{")
    await page.locator("#try-send").click()
    await page.get_by_role("alert").filter(has_text="not valid JSON").wait_for()
    assert sandbox.requests == []


async def test_a_fault_of_one_request_is_told(page: Any, sandbox: Sandbox) -> None:
    await page.get_by_label("Fault of this request").fill("disconnect; after=3")
    await page.get_by_role("radio", name="streamed").check()
    assert "The connection broke" in await send(page)
    assert sandbox.requests[-1].fault == "disconnect"


async def test_a_queued_fault_is_shown_and_hits(page: Any, ask: Any, sandbox: Sandbox) -> None:
    await page.get_by_role("link", name="Behaviour").click()
    faults = page.get_by_role("region", name="Faults")
    await faults.locator("[name=code]").fill("429")
    await faults.locator("[name=retry_after]").fill("7")
    await faults.locator("[name=service]").select_option(label="qaip")
    await faults.get_by_role("button", name="Queue this fault").click()
    await faults.locator(".queue li").wait_for()
    assert "qaip" in await faults.locator(".queue li").inner_text()
    assert await ask() == 429
    assert sandbox.requests[-1].retry_after == "7"
    await faults.locator(".queue li").wait_for(state="detached")
    await page.get_by_role("link", name="Requests").click()
    await page.locator("#requests-list .chip.fault", has_text="status").wait_for()


async def test_a_fault_queued_elsewhere_is_shown(page: Any, sandbox: Sandbox) -> None:
    await page.get_by_role("link", name="Behaviour").click()
    sandbox.faults.add(Status(code=418, times=2))
    faults = page.get_by_role("region", name="Faults")
    await faults.get_by_text("2 requests will be hit.").wait_for()
    await faults.get_by_role("button", name="Clear the queue").click()
    await faults.get_by_text("No fault waits.").wait_for()
    assert len(sandbox.faults) == 0


async def test_an_impossible_fault_is_refused_with_a_reason(page: Any, sandbox: Sandbox) -> None:
    await page.get_by_role("link", name="Behaviour").click()
    faults = page.get_by_role("region", name="Faults")
    await faults.locator("[name=code]").evaluate("input => input.removeAttribute('max')")
    await faults.locator("[name=code]").fill("700")
    await faults.get_by_role("button", name="Queue this fault").click()
    await faults.get_by_role("alert").filter(has_text="code").wait_for()
    assert len(sandbox.faults) == 0


async def test_a_switch_is_set_and_put_back(page: Any, sandbox: Sandbox) -> None:
    async def profile() -> str:
        status = await (await page.request.get(f"{sandbox.url}/_sandbox")).json()
        return str(status["switches"]["perplexity"]["profile"])

    await page.get_by_role("link", name="Behaviour").click()
    card = page.get_by_role("region", name="perplexity")
    before = await profile()
    async with page.expect_response("**/_sandbox/switches"):
        await card.locator("[name=profile]").select_option(label="retired")
    assert await profile() == "retired"
    async with page.expect_response("**/_sandbox/switches"):
        await card.get_by_role("button", name="Defaults").click()
    assert await profile() == before


async def test_a_switch_set_elsewhere_is_shown(page: Any, sandbox: Sandbox) -> None:
    await page.get_by_role("link", name="Behaviour").click()
    sandbox.switch(perplexity={"profile": "retired"})
    chosen = page.get_by_role("region", name="perplexity").locator("[name=profile] option:checked")
    await chosen.filter(has_text="retired").wait_for(state="attached")


async def test_the_pace_is_set(page: Any, sandbox: Sandbox) -> None:
    await page.get_by_role("link", name="Behaviour").click()
    pace = page.get_by_role("region", name="Pace")
    await pace.locator("[name=jitter]").fill("3")
    await pace.locator("[name=jitter]").blur()
    await pace.get_by_role("alert").filter(has_text="jitter").wait_for()
    async with page.expect_response("**/_sandbox/physics"):
        await pace.locator("[name=tokens_per_second]").fill("50")
        await pace.locator("[name=tokens_per_second]").blur()
    assert sandbox.physics.tokens_per_second == 50


async def test_the_environment_can_be_copied(open_page: Any, sandbox: Sandbox) -> None:
    permissions = ["clipboard-read", "clipboard-write"]
    page = await open_page(f"{sandbox.url}/#/environment", permissions=permissions)
    await page.get_by_label("Format").select_option(label=".env")
    await page.get_by_role("button", name="Copy").click()
    await page.get_by_role("button", name="Copied").wait_for()
    copied = await page.evaluate("navigator.clipboard.readText()")
    assert dict(line.split("=", 1) for line in copied.splitlines()) == sandbox.env
