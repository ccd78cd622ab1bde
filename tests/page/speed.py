"""`python -m tests.page.speed`: how fast the page is in a real Chromium, in front of a scripted model.

Bytes over the wire, time until the page can be used after a cold load, time from a word leaving the gateway's model to
the word on the page, and the longest frame while 500 tokens come every second.
"""

import asyncio
import gzip
import time
from statistics import median
from typing import Any

from assay.generator import Wrote
from gateway.decode.jobs import DecodePool
from tests.gateway.http.serving import http_client
from tests.media.build import media
from tests.page.browser import PAGE_FILES, launched, page_at
from tests.scripted_generator import ScriptedGenerator

LOADS, WORDS, TOKENS_PER_SECOND, SECONDS = 10, 10, 500, 10
LOADED_MS = "performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd"
# Gaps between frames from now on, in milliseconds.
WATCH_FRAMES = """() => { window.gaps = []; let last = performance.now();
    const frame = (now) => { window.gaps.push(now - last); last = now; requestAnimationFrame(frame); };
    requestAnimationFrame(frame); }"""
WATCH_WORDS = """() => { window.shown = 0; new MutationObserver(() => {
    if (!window.shown && document.querySelector('.explanation p')?.textContent.includes('calm'))
        window.shown = Date.now() / 1000;
    }).observe(document.body, { subtree: true, childList: true, characterData: true }); }"""


class FastWriter(ScriptedGenerator):
    """Writes its free text token by token, so many a second."""

    async def generate(self, clip: Any, conversation: Any, form: Any) -> Any:
        async for event in super().generate(clip, conversation, form):
            if not (isinstance(event, Wrote) and len(event.text) > 1000):
                yield event
                continue
            began, words = time.perf_counter(), event.text.split(" ")
            for index, word in enumerate(words):
                ahead = index / TOKENS_PER_SECOND - (time.perf_counter() - began)
                if ahead > 0.002:
                    await asyncio.sleep(ahead)
                yield Wrote(event.segment, word + " " if index < len(words) - 1 else word)


def address_of(client: Any) -> str:
    return f"{client.base_url.host}:{client.base_url.port}"


async def loaded(browser: Any, pool: DecodePool) -> str:
    times = []
    async with http_client(pool) as client:
        for _ in range(LOADS):
            async with page_at(browser, address_of(client)) as page:
                times.append(await page.evaluate(LOADED_MS))
    size = sum(len(gzip.compress((PAGE_FILES / name).read_bytes())) for name in ("index.html", "page.css", "page.js"))
    return f"page: {size / 1000:.0f} kB compressed; usable after {median(times):.0f} ms, at most {max(times):.0f}"


async def first_words(browser: Any, pool: DecodePool) -> str:
    times = []
    for _ in range(WORDS):
        model = ScriptedGenerator(texts={"composition_reason": " calm"}, gate=asyncio.Event())
        async with (
            http_client(pool, model) as client,
            # Playwright evaluates what it waits for by `eval`.
            page_at(browser, address_of(client), bypass_csp=True) as page,
        ):
            await page.evaluate(WATCH_WORDS)
            await page.set_input_files("#file", media("jpeg.jpg"))
            await page.get_by_text("jpeg ·").wait_for()
            released = time.time()
            assert model.gate is not None
            model.gate.set()
            await page.wait_for_function("window.shown")
            times.append(1000 * (await page.evaluate("window.shown") - released))
    return (
        f"first word on the page after {median(times):.0f} ms, at most {max(times):.0f}, the whole way from the model"
    )


async def main_thread_ms(metrics: Any) -> float:
    """Processor time of the page's main thread: what a busy machine changes least."""
    found = (await metrics.send("Performance.getMetrics"))["metrics"]
    return 1000 * next(each["value"] for each in found if each["name"] == "TaskDuration")


async def frames(browser: Any, pool: DecodePool) -> str:
    text = " ".join(["calm"] * TOKENS_PER_SECOND * SECONDS)
    model = FastWriter(texts={"composition_reason": " " + text})
    async with http_client(pool, model) as client, page_at(browser, address_of(client)) as page:
        await page.set_input_files("#file", media("jpeg.jpg"))
        await page.get_by_text("jpeg ·").wait_for()
        await page.evaluate(WATCH_FRAMES)
        metrics = await page.context.new_cdp_session(page)
        await metrics.send("Performance.enable", {"timeDomain": "threadTicks"})
        before = await main_thread_ms(metrics)
        began = time.perf_counter()
        await page.wait_for_selector(".downloads button", timeout=120_000)
        took = time.perf_counter() - began
        cpu_ms = await main_thread_ms(metrics) - before
        gaps = sorted(await page.evaluate("window.gaps"))
        shown = len(str(await page.inner_text(".explanation p")).split())
    late = sum(gap > 100 for gap in gaps)
    return (
        f"{shown} tokens in {took:.1f} s, {len(gaps)} frames: longest {gaps[-1]:.0f} ms, "
        f"99 % within {gaps[int(0.99 * len(gaps))]:.0f} ms, {late} over 100 ms; "
        f"{cpu_ms / len(gaps):.1f} ms of the page's main thread a frame"
    )


async def main() -> None:
    async with DecodePool(workers=1, spares=0) as pool, launched() as browser:
        for measure in (loaded, first_words, frames):
            print(await measure(browser, pool), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
