"""The page in front of a gateway that asks for a token, in a real Chromium."""

import hashlib
from contextlib import asynccontextmanager

import pytest

from assay.rpc.authentication import ApiKeys, Tokens
from assay.rpc.security import Security
from tests.gateway.http.serving import http_client
from tests.media.build import media
from tests.page.browser import page_at
from tests.page.test_page import DONE, address_of, violations
from tests.tokens import API_KEY, write_api_keys

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.browser_full]
PHOTO, VIDEO = media("jpeg.jpg"), media("mp4_faststart.mp4")
ANOTHER_KEY = "assay_another_of_the_same_tenant"
TOKEN = "#token input"


@pytest.fixture
def keys(tmp_path):
    """The file of API keys, which know one key of acme."""
    return write_api_keys(tmp_path, scopes=("score", "live"))


@asynccontextmanager
async def guarded_page(browser, pool, keys, width_px=1200, **context):
    security = Security(tokens=Tokens([ApiKeys(keys)]))
    async with (
        http_client(pool, security=security) as client,
        page_at(browser, address_of(client), width_px, **context) as page,
    ):
        yield page


@asynccontextmanager
async def scored_page(browser, pool, keys):
    """The page with the token entered and a photo scored."""
    async with guarded_page(browser, pool, keys) as page:
        await page.set_input_files("#file", PHOTO)
        await enter(page, API_KEY)
        await page.wait_for_selector(DONE)
        yield page


async def enter(page, token):
    await page.fill(TOKEN, token)
    await page.keyboard.press("Enter")


async def test_a_token_is_asked_for_and_goes_with_every_call_from_then_on(browser, pool, keys):
    async with guarded_page(browser, pool, keys, 360) as page:
        await page.set_input_files("#file", PHOTO)
        await page.wait_for_selector(f"{TOKEN}:focus")
        assert await violations(page) == []
        assert await page.evaluate("document.documentElement.scrollWidth") <= 360
        sent = []
        page.on("request", lambda request: sent.append(request))
        await enter(page, f"  Bearer {API_KEY}\n")
        await page.wait_for_selector(DONE)
        calls = [each for each in sent if "/v1/" in each.url or "UploadService" in each.url]
        shown = {await each.header_value("authorization") for each in calls}
        assert ({each.method for each in calls}, shown) == ({"GET", "POST", "PUT"}, {f"Bearer {API_KEY}"})
        assert await page.locator(TOKEN).count() == 0


@pytest.mark.parametrize(
    ("token", "sentence"),
    [("wrong", "does not accept this token"), ("two words", "not a token"), ("ключ", "not a token"), (" ", "Enter")],
)
async def test_what_is_wrong_with_a_token_is_reported_under_its_field(browser, pool, keys, token, sentence):
    async with guarded_page(browser, pool, keys) as page:
        await page.set_input_files("#file", PHOTO)
        await enter(page, token)
        assert sentence in await page.locator("#token .trouble:not(:empty)").inner_text()
        await enter(page, API_KEY)
        await page.wait_for_selector(DONE)


async def test_a_tab_keeps_its_token_over_a_reload_and_forgets_it_when_asked_to(browser, pool, keys):
    async with scored_page(browser, pool, keys) as page:
        await page.reload()
        await page.wait_for_selector(DONE)
        await page.get_by_role("button", name="Forget token").click()
        await page.set_input_files("#file", VIDEO)
        await page.wait_for_selector(TOKEN)


async def test_a_token_that_ends_is_asked_for_again_and_the_work_goes_on(browser, pool, keys):
    async with scored_page(browser, pool, keys) as page:
        digest = hashlib.sha256(ANOTHER_KEY.encode()).hexdigest()
        keys.write_text(f'[[keys]]\nsha256 = "{digest}"\ntenant = "acme"\nscopes = ["score"]\n')
        await page.set_input_files("#file", VIDEO)
        assert "any more" in await page.locator("#token .trouble:not(:empty)").inner_text()
        await enter(page, ANOTHER_KEY)
        await page.wait_for_selector(f"article:nth-of-type(2) {DONE}")


async def test_the_camera_asks_for_a_token_as_well(browser, pool, keys):
    async with guarded_page(browser, pool, keys, permissions=["camera"]) as page:
        await page.click("#camera")
        await enter(page, API_KEY)
        await page.wait_for_selector(".camera .windows li", timeout=30_000)


async def test_a_token_that_may_not_do_what_is_wanted_is_refused(browser, pool, tmp_path):
    keys = write_api_keys(tmp_path, scopes=("score",))
    async with guarded_page(browser, pool, keys, permissions=["camera"]) as page:
        await page.click("#camera")
        await enter(page, API_KEY)
        assert "not allowed" in await page.locator(".camera .trouble:not(:empty)").inner_text()
