"""The page in front of the whole stack, as a new user sees it; makes the pictures that the README and docs show."""

import os
from pathlib import Path

import pytest
from PIL import Image

from tests.page.browser import launched, page_at

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.browser_full, pytest.mark.slow]
DEMO = Path(__file__).parents[2] / "demo"
DONE = ".downloads button"
SECONDS = 120
VIEWS = {
    "page-photo": ("photo.jpg", 1200, 1000, "light"),
    "page-video": ("video.mp4", 768, 1250, "dark"),
    "page-phone": ("video.mp4", 360, 1000, "light"),
}
"""Name of a picture -> file, width and height in pixels, colours."""


@pytest.mark.parametrize("name", VIEWS)
async def test_the_demo_is_scored_by_the_real_model_on_the_page(stack, tmp_path, name):
    file, width_px, height_px, scheme = VIEWS[name]
    async with launched() as browser, page_at(browser, stack.http_address, width_px, color_scheme=scheme) as page:
        await page.set_input_files("#file", DEMO / file)
        await page.wait_for_selector(DONE, timeout=SECONDS * 1000)
        await page.wait_for_timeout(500)  # the player shows its first frame
        shot = tmp_path / f"{name}.png"
        clip = {"x": 0, "y": 0, "width": width_px, "height": height_px}
        await page.screenshot(path=shot, full_page=True, clip=clip)
        assert float((await page.inner_text(".final .number")).split()[0]) > 0
    place = Path(os.environ.get("SCREENSHOTS", tmp_path))
    Image.open(shot).save(place / f"{name}.webp", quality=82, method=6)
    assert (place / f"{name}.webp").stat().st_size < 200_000
