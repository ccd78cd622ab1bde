"""Longer journeys in a real Chromium: a video, cancelling, reloading, two tabs, a server that goes and comes back."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from assay.errors import ModelUnavailable
from gateway.http.server import serving_http
from tests.gateway.http.serving import http_client
from tests.gateway.serving import gateway
from tests.media.build import media
from tests.page.browser import page_at
from tests.page.test_page import DONE, address_of, violations
from tests.scripted_generator import ScriptedGenerator

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.browser_full]
PHOTO, VIDEO = media("jpeg.jpg"), media("mp4_faststart.mp4")
TWO_WINDOWS = {"video": {"window_seconds": 1.0}}
TROUBLE = ".trouble:not(:empty)"
AWAY = "The server cannot be reached."


def waiting_model():
    """A model that waits for its gate before it writes."""
    return ScriptedGenerator(texts={"composition_reason": " calm"}, gate=asyncio.Event())


@asynccontextmanager
async def page_with(browser, pool, model=None, width_px=1200, context=None, **settings):
    """(client, page)."""
    async with (
        http_client(pool, model, **settings) as client,
        page_at(browser, address_of(client), width_px, **(context or {})) as page,
    ):
        yield client, page


async def test_a_video_has_a_timeline_of_thumbnails_with_its_best_and_worst_segment(browser, pool):
    async with page_with(browser, pool, **TWO_WINDOWS) as (_, page):
        await page.set_input_files("#file", VIDEO)
        await page.wait_for_selector(DONE)
        drawn = await page.evaluate("[...document.querySelectorAll('.strip img')].map((each) => each.naturalWidth > 0)")
        assert (len(drawn) >= 2, all(drawn)) == (True, True)
        shown = await page.inner_text(".segments")
        assert ("Best" in shown, "Worst" in shown) == (True, True)
        assert await violations(page) == []


async def test_a_click_on_a_segment_seeks_the_player_and_shows_its_explanation(browser, pool):
    async with page_with(browser, pool, **TWO_WINDOWS) as (_, page):
        await page.set_input_files("#file", VIDEO)
        await page.wait_for_selector(DONE)
        await page.click(".segments summary")
        await page.click(".segments li:nth-child(2) button")
        await page.get_by_text("Explanation of window 2").wait_for()
        assert await page.evaluate("document.querySelector('video').currentTime") > 0


async def test_sampled_frames_are_shown_before_anything_is_scored(browser, pool):
    async with page_with(browser, pool, waiting_model(), **TWO_WINDOWS) as (_, page):
        await page.set_input_files("#file", VIDEO)
        await page.wait_for_selector(".strip img")
        assert await page.locator(DONE).count() == 0
        assert await violations(page) == []


async def test_cancelling_ends_the_call_and_forgets_the_upload(browser, pool):
    model = waiting_model()
    async with page_with(browser, pool, model) as (_, page):
        await page.set_input_files("#file", PHOTO)
        await model.began.wait()
        await page.get_by_role("button", name="Cancel").click()
        async with asyncio.timeout(10):
            await model.ended.wait()
        assert (await page.locator("article").count(), model.abandoned > 0) == (0, True)


async def test_a_page_that_is_reloaded_in_the_middle_goes_on(browser, pool):
    model = waiting_model()
    async with page_with(browser, pool, model) as (_, page):
        await page.set_input_files("#file", PHOTO)
        await model.began.wait()
        await page.reload()
        await page.wait_for_selector("article .preview img")  # a thumbnail, as the page has the file no longer
        model.gate.set()
        await page.wait_for_selector(DONE)
        assert len(model.clips) == 3  # explanation, direct and reasoned score: nothing was asked twice


async def test_two_tabs_score_files_of_their_own(browser, pool):
    async with page_with(browser, pool) as (client, page):
        other = await page.context.new_page()
        await other.goto(f"http://{address_of(client)}/")
        await page.set_input_files("#file", PHOTO)
        await other.set_input_files("#file", VIDEO)
        await page.wait_for_selector(DONE)
        await other.wait_for_selector(DONE)
        titles = await page.inner_text("h2"), await other.inner_text("h2")
    assert titles == (PHOTO.name, VIDEO.name)


@asynccontextmanager
async def server_at(program, port):
    """The HTTP face; what it holds ends with it, as when its process is killed."""
    settings, *services = program
    chosen = settings.model_copy(update={"http_address": f"127.0.0.1:{port}", "grace_seconds": 0.1})
    async with serving_http(chosen, *services) as address:
        yield address


async def test_a_server_that_is_killed_and_comes_back_scores_what_was_under_way(browser, pool):
    model = waiting_model()
    async with gateway(pool, model, model) as caller:
        async with server_at(caller.program, 0) as address:
            journey = page_at(browser, address)
            page = await journey.__aenter__()
            await page.set_input_files("#file", PHOTO)
            await page.get_by_text("jpeg ·").wait_for()
        try:
            await page.get_by_text(AWAY).wait_for()
            assert await page.inner_text(".media") != ""  # what was shown stays
            assert await violations(page) == []
            model.gate.set()
            async with server_at(caller.program, int(address.rpartition(":")[2])):
                await page.wait_for_selector(DONE, timeout=20_000)
                assert await page.locator(TROUBLE).count() == 0
        finally:
            await journey.__aexit__(None, None, None)


async def test_the_camera_shows_what_is_written_of_a_window_and_the_frames_that_were_taken(browser, pool):
    async with page_with(browser, pool, context={"permissions": ["camera"]}) as (_, page):
        await page.click("#camera")
        await page.wait_for_selector(".camera .windows li", timeout=30_000)
        assert await page.locator(".camera .strip img").count() > 0
        await page.wait_for_selector(".camera .chart canvas")  # the scores over time
        assert "calm" in await page.inner_text(".camera .explanation")
        assert await violations(page) == []
        await page.get_by_role("button", name="Stop camera").click()
        assert await page.locator(".camera").count() == 0


async def test_a_camera_that_is_refused_is_reported_in_a_sentence(browser, pool):
    async with page_with(browser, pool) as (_, page):
        refused = "() => Promise.reject(new DOMException('', 'NotAllowedError'))"
        await page.evaluate(f"() => {{ navigator.mediaDevices.getUserMedia = {refused} }}")
        await page.click("#camera")
        assert "allow it in the browser" in await page.inner_text(f".camera {TROUBLE}")


async def test_after_a_failure_the_file_can_be_tried_again(browser, pool):
    model = ScriptedGenerator(failures={"start": ModelUnavailable("the model is starting; try again in a moment")})
    async with page_with(browser, pool, model) as (_, page):
        await page.set_input_files("#file", PHOTO)
        assert await page.inner_text(f"article {TROUBLE}") == "The model is starting; try again in a moment."
        assert not await page.is_visible("article .scores")  # no room for what will not come
        model.failures = {}
        await page.get_by_role("button", name="Try again").click()
        await page.get_by_role("button", name="JSON").wait_for()


async def test_every_action_can_be_done_by_keyboard(browser, pool):
    async with page_with(browser, pool, **TWO_WINDOWS) as (_, page):
        await page.set_input_files("#file", VIDEO)
        await page.wait_for_selector(DONE)
        reached = []
        for _ in range(40):
            await page.keyboard.press("Tab")
            reached.append(await page.evaluate("document.activeElement.innerText || document.activeElement.id"))
        shown = " ".join(reached)
        for action in ("file", "demo", "camera", "Remove", "Best", "Worst", "windows", "JSON", "CSV", "PNG"):
            assert action in shown


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width_px", [360, 768, 1200])
async def test_nothing_overflows_and_nothing_is_out_of_reach(browser, pool, scheme, width_px):
    async with page_with(browser, pool, None, width_px, {"color_scheme": scheme}, **TWO_WINDOWS) as (_, page):
        assert await violations(page) == []
        await page.set_input_files("#file", VIDEO)
        await page.wait_for_selector(DONE)
        assert await page.evaluate("document.documentElement.scrollWidth") <= width_px
        assert await violations(page) == []
