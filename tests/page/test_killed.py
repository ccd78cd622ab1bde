"""The page while the gateway's process is killed and started again."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from assay.stack.program import Program
from tests.gateway.serving import services
from tests.page.browser import PAGE_FILES, page_at
from tests.page.test_journeys import AWAY, PHOTO, TROUBLE, VIDEO, waiting_model
from tests.page.test_page import DONE, violations
from tests.scripted_generator import ScriptedGenerator

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.browser_full]
SECONDS = 60
WINDOWS = ".camera .windows li"


@asynccontextmanager
async def killable(folder, model, **settings):
    """(address of the page, kill the gateway, start it again at that address)."""
    async with services(model) as (extraction, scoring):
        wiring = {"GATEWAY_ADDRESS": "127.0.0.1:0", "GATEWAY_ATTRIBUTE_EXTRACTION": extraction, **settings}
        wiring |= {"GATEWAY_SCORING": scoring, "GATEWAY_HTTP_ADDRESS": "127.0.0.1:0"}
        running = []

        async def start():
            running.append(Program("gateway", "gateway", wiring, PAGE_FILES.parents[2], folder / "gateway.log"))
            async with asyncio.timeout(SECONDS):
                while not running[-1].http_address:  # noqa: ASYNC110 - it happens in another process
                    await asyncio.sleep(0.05)
            wiring["GATEWAY_HTTP_ADDRESS"] = running[-1].http_address

        async def kill():
            await asyncio.to_thread(running[-1].kill)

        await start()
        try:
            yield wiring["GATEWAY_HTTP_ADDRESS"], kill, start
        finally:
            await kill()


async def test_what_was_under_way_when_the_gateway_was_killed_goes_on_when_it_is_back(browser, tmp_path):
    model = waiting_model()
    async with (
        killable(tmp_path, model, GATEWAY_VIDEO__WINDOW_SECONDS="1.0") as (address, kill, start),
        page_at(browser, address) as page,
    ):
        await page.set_input_files("#file", [PHOTO, VIDEO])
        for shown in ("jpeg ·", "h264 ·"):
            await page.get_by_text(shown).wait_for(timeout=1000 * SECONDS)
        await kill()
        await page.get_by_text(AWAY).nth(1).wait_for()
        assert await page.locator(".media:has-text('px')").count() == 2  # what was known stays
        assert await violations(page) == []
        model.gate.set()
        await start()
        await page.locator(DONE).nth(5).wait_for(timeout=1000 * SECONDS)
        assert await page.locator(TROUBLE).count() == 0


async def test_a_camera_goes_on_after_the_gateway_was_killed(browser, tmp_path):
    model = ScriptedGenerator(texts={"composition_reason": " calm"})
    async with (
        killable(tmp_path, model) as (address, kill, start),
        page_at(browser, address, permissions=["camera"]) as page,
    ):
        await page.click("#camera")
        await page.wait_for_selector(WINDOWS, timeout=1000 * SECONDS)
        await kill()
        await page.get_by_text(AWAY).wait_for()
        before = await page.locator(WINDOWS).count()
        assert before > 0  # what was scored stays
        await start()
        await page.locator(WINDOWS).nth(before).wait_for(timeout=1000 * SECONDS)
        assert await page.locator(TROUBLE).count() == 0
