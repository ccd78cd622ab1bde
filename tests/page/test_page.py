"""The page in a real Chromium: two journeys, and what is said where something is wrong."""

import json

import pytest

from assay.errors import ModelUnavailable
from tests.gateway.http.serving import http_client
from tests.media.build import media
from tests.page.browser import page_at
from tests.scripted_generator import ScriptedGenerator

pytestmark = pytest.mark.asyncio(loop_scope="session")
DONE = ".downloads button"


def address_of(client):
    return f"{client.base_url.host}:{client.base_url.port}"


async def violations(page):
    """Rules of accessibility that the page breaks as it stands."""
    from axe_playwright_python.async_playwright import Axe

    return [rule["id"] for rule in (await Axe().run(page)).response["violations"]]


@pytest.mark.browser
async def test_a_photo_is_scored_on_the_page(browser, pool):
    async with http_client(pool) as client, page_at(browser, address_of(client)) as page:
        await page.set_input_files("#file", media("jpeg.jpg"))
        await page.wait_for_selector(DONE)
        shown = await page.inner_text("article")
        assert "4.38" in shown
        assert "very clear" in shown
        assert await violations(page) == []


@pytest.mark.browser
async def test_two_files_are_compared(browser, pool):
    async with http_client(pool) as client, page_at(browser, address_of(client), 360) as page:
        await page.set_input_files("#file", [media("jpeg.jpg"), media("mp4_faststart.mp4")])
        await page.wait_for_selector("#comparison p")
        assert await page.inner_text("#comparison") == "Both have the same score."
        assert await page.evaluate("document.documentElement.scrollWidth") <= 360
        assert await violations(page) == []


@pytest.mark.browser_full
async def test_the_page_can_be_used_by_keyboard_alone(browser, pool):
    async with http_client(pool) as client, page_at(browser, address_of(client)) as page:
        for _ in range(2):
            await page.keyboard.press("Tab")
        await page.keyboard.press("Enter")  # the demo photo
        await page.wait_for_selector(DONE)


PHOTO, VIDEO = media("jpeg.jpg").read_bytes(), media("mp4_faststart.mp4").read_bytes()
DOWN = ScriptedGenerator(failures={"start": ModelUnavailable("the model is down; try again in a moment")})


@pytest.mark.browser_full
@pytest.mark.parametrize(
    ("name", "content", "settings", "sentence"),
    [
        ("notes.jpg", b"no picture", {}, "picture"),
        ("half.jpg", PHOTO[: len(PHOTO) // 2], {}, "end"),
        ("half.mp4", VIDEO[:500], {}, "cut off"),
        ("empty.jpg", b"", {}, "The file is empty"),
        ("large.mp4", VIDEO, {"limits": {"max_video_bytes": 1000}}, "at most 1000"),
        ("photo.jpg", PHOTO, {"http_spool_bytes": 1000}, "no room"),
        ("photo.jpg", PHOTO, {"max_in_flight": 1, "model": DOWN}, "The model is down"),
        ("long.mp4", VIDEO, {"video": {"window_seconds": 0.5, "max_windows": 1}}, "Scored in part"),
    ],
    ids=[
        "no picture",
        "truncated",
        "truncated video",
        "empty",
        "too large",
        "no room",
        "model down",
        "past its budget",
    ],
)
async def test_what_is_wrong_is_reported_in_a_sentence_where_the_person_looks(
    browser, pool, name, content, settings, sentence
):
    async with http_client(pool, **settings) as client, page_at(browser, address_of(client)) as page:
        await page.set_input_files("#file", {"name": name, "mimeType": "", "buffer": content})
        shown = page.locator(".trouble:not(:empty), .warning").first
        assert sentence in await shown.inner_text()
        assert await violations(page) == []


@pytest.mark.browser_full
async def test_an_upload_that_has_expired_is_reported_to_a_reloaded_page(browser, pool):
    async with http_client(pool, http_upload_life_seconds=0.2) as client, page_at(browser, address_of(client)) as page:
        await page.set_input_files("#file", media("jpeg.jpg"))
        await page.wait_for_selector(DONE)
        await page.wait_for_timeout(500)
        await page.reload()
        assert "Choose the file again" in await page.locator("article .trouble:not(:empty)").inner_text()


@pytest.mark.browser_full
async def test_a_name_with_markup_is_shown_as_text(browser, pool):
    name = "<img src=x onerror=alert(1)>\u202egpj.exe" + "x" * 4000
    async with http_client(pool) as client, page_at(browser, address_of(client), 360) as page:
        file = {"name": name, "mimeType": "image/jpeg", "buffer": media("jpeg.jpg").read_bytes()}
        await page.set_input_files("#file", file)
        await page.wait_for_selector(DONE)
        assert (await page.text_content("article h2")).startswith("<img src=x")
        assert await page.evaluate("document.documentElement.scrollWidth") <= 360


@pytest.mark.browser_full
async def test_a_reloaded_page_finds_its_score_again(browser, pool):
    async with http_client(pool) as client, page_at(browser, address_of(client)) as page:
        await page.set_input_files("#file", media("jpeg.jpg"))
        await page.wait_for_selector(DONE)
        await page.reload()
        await page.wait_for_selector(DONE)
        assert "4.38" in await page.inner_text("article")


@pytest.mark.browser_full
async def test_the_result_can_be_taken_away_as_json(browser, pool, tmp_path):
    async with http_client(pool) as client, page_at(browser, address_of(client)) as page:
        await page.set_input_files("#file", media("jpeg.jpg"))
        async with page.expect_download() as download:
            await page.click(DONE)
        await (await download.value).save_as(tmp_path / "result.json")
    assert json.loads((tmp_path / "result.json").read_text())["score"]["value"] == pytest.approx(4.38)


@pytest.mark.browser_full
async def test_nothing_is_asked_of_anybody_else(browser, pool):
    async with http_client(pool) as client, page_at(browser, "about:blank") as page:
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        await page.goto(f"http://{address_of(client)}/")
        await page.click("#demo")
        await page.wait_for_selector(DONE)
        own = f"http://{address_of(client)}/"
    assert [url for url in asked if not url.startswith((own, "blob:"))] == []


@pytest.mark.browser_full
async def test_what_was_shown_stays_while_the_server_is_gone(browser, pool):
    async with http_client(pool) as client, page_at(browser, address_of(client)) as page:
        await page.set_input_files("#file", media("jpeg.jpg"))
        await page.wait_for_selector(DONE)
        await page.context.set_offline(True)
        await page.set_input_files("#file", media("mp4_faststart.mp4"))
        await page.get_by_text("The server cannot be reached.").wait_for()
        assert "4.38" in await page.inner_text("article >> nth=0")
        await page.context.set_offline(False)
        await page.wait_for_selector(f"article:nth-of-type(2) {DONE}")
