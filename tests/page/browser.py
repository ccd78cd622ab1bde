"""A real Chromium for tests of the page: the system's, as Playwright's own cannot be fetched everywhere."""

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

INSTALL = "apt-get install chromium"
PAGE_FILES = Path(__file__).parents[2] / "gateway" / "http" / "page_files"


def chromium() -> str:
    """The path of the browser. Without one the test is skipped with the line that installs it; under CI it fails."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"no Chromium here: {INSTALL}")
    return found


@asynccontextmanager
async def launched() -> AsyncIterator[Any]:
    """The browser, with a camera that shows a test picture."""
    from playwright.async_api import async_playwright

    async with async_playwright() as playwright:
        fake = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
        browser = await playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox", *fake])
        yield browser
        await browser.close()


@asynccontextmanager
async def page_at(browser: Any, address: str, width_px: int = 1200, **context: Any) -> AsyncIterator[Any]:
    """The page, open under a profile of its own; fails if the page logs an error."""
    profile = await browser.new_context(viewport={"width": width_px, "height": 900}, **context)
    try:
        page = await profile.new_page()
        wrong: list[str] = []
        page.on("pageerror", lambda error: wrong.append(str(error)))
        await page.goto(address if address.startswith("about:") else f"http://{address}/")
        yield page
    finally:
        await profile.close()
    assert wrong == []
