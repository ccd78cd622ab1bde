"""python -m tests.k8s.pods: plays the pods of the overlay `local` here, and shows what `make k8s` cannot.

The images are those of `make images`, by the digests that it wrote into the overlay. Each line is one finding; the exit
code is 1 if one of them is not as it should be.
"""

import asyncio
import io
import itertools
import json
import shutil
import sys
import tempfile
import time
import urllib.request
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from assay.client import AsyncClient
from assay.errors import AssayError
from gateway.decode.protocol import PERMITTED
from k8s.manifests import HERE, render
from tests.k8s.podman import Pod, Podman, is_ready, log, podman

DEMO = HERE.parent / "demo"
NANO = HERE.parent / "checkpoints" / "nano"
GATEWAY_PORT = 50051
METRICS_PORT = 9090
MAX_HEAL_SECONDS = 5.0
MAX_FIND_SECONDS = 60.0
_SCALED = ("scoring", "attribute-extraction", "triton", "gateway")
_COUNTERS = {"triton": "nv_inference_request_success"}
_ESCAPES = """
import asyncio, json
from gateway.decode.jobs import DecodePool
async def main():
    async with DecodePool(workers=1, spares=0) as pool:
        print(json.dumps(await pool.escapes()))
asyncio.run(main())
"""


class Findings:
    """Lines as they are found, and whether one of them is bad."""

    def __init__(self) -> None:
        self.is_good = True

    def add(self, is_good: bool, line: str) -> None:
        self.is_good &= is_good
        print(f"{'ok  ' if is_good else 'BAD '} {line}", flush=True)


class PodStack:
    """The pods of the overlay, one of each at first."""

    def __init__(self, player: Podman) -> None:
        self._player = player
        self.pods: dict[str, Pod] = {}

    async def start(self, names: list[str]) -> None:
        for name in sorted(names, reverse=True):  # Triton first, which takes longest
            self.pods[name] = await self._player.play(name)
        # At once, because a gateway is not ready before its services are found.
        await asyncio.gather(*map(self._player.publish, self.pods.values()))

    async def add(self, name: str) -> Pod:
        """One more of a Deployment, found under its Service's name as soon as it is ready."""
        pod = await self._player.play(name)
        await self._player.publish(pod)
        return pod

    async def restart(self, name: str) -> None:
        await self._player.restart(self.pods[name])

    async def stop(self, name: str) -> str:
        """The exit code of the first pod, which is stopped as a cluster does it."""
        return await self._player.stop(self.pods[name])

    async def replace(self, name: str, pod: Pod) -> None:
        await self._player.remove(self.pods[name].name)
        self.pods[name] = pod

    @asynccontextmanager
    async def trial(self, name: str, **how: Any) -> AsyncIterator[Pod]:
        """A pod that nobody finds under its Service's name."""
        pod = await self._player.play(name, **how)
        try:
            yield pod
        finally:
            await self._player.remove(pod.name)

    def gateways(self, *more: Pod) -> str:
        """Their address, for a client."""
        hosts = [self.pods["gateway"].host, *(pod.host for pod in more)]
        return "ipv4:" + ",".join(f"{host}:{GATEWAY_PORT}" for host in hosts)


class Load:
    """Photos that are scored one after the other by several clients, each with a connection of its own."""

    def __init__(self, server: str, clients: int = 4) -> None:
        self.scored = 0
        self.failures: list[str] = []
        self._is_over = False
        self._server, self._clients = server, clients

    async def __aenter__(self) -> "Load":
        self._tasks = [asyncio.create_task(self._score()) for _ in range(self._clients)]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._is_over = True
        await asyncio.gather(*self._tasks)

    async def _score(self) -> None:
        async with AsyncClient(self._server) as client:
            while not self._is_over:
                try:
                    await client.score(_other_photo())
                    self.scored += 1
                except AssayError as failure:
                    self.failures.append(failure.message)
                    await asyncio.sleep(0.2)


_PHOTO = (DEMO / "photo.jpg").read_bytes()
_numbers = itertools.count()


def _other_photo() -> bytes:
    """The demo photo with a few black pixels, another in each, because a clip meets the same Triton each time."""
    pixels = np.array(Image.open(io.BytesIO(_PHOTO)).resize((224, 224)))
    pixels[:8, :64] = (next(_numbers) * 37) % 256
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


def calls(pod: Pod, name: str) -> float:
    """How many it has ended well or badly, by its own metrics."""
    with urllib.request.urlopen(f"http://{pod.host}:{METRICS_PORT}/metrics", timeout=5) as response:
        lines = response.read().decode().splitlines()
    counter = _COUNTERS.get(name, "assay_calls_total")
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(counter))


async def show_hardening(stack: PodStack, found: Findings) -> None:
    for name, pod in stack.pods.items():
        status = await podman("exec", pod.container, "cat", "/proc/1/status")
        held = {line.split(":")[0]: line.split()[1] for line in status.splitlines() if len(line.split()) > 1}
        wanted = {"Uid": "10001", "CapEff": "0" * 16, "CapBnd": "0" * 16, "NoNewPrivs": "1", "Seccomp": "2"}
        is_held = all(held[key] == value for key, value in wanted.items())
        try:
            await podman("exec", pod.container, "touch", "/app/x")
            is_held = False
        except RuntimeError as refused:
            is_held &= "Read-only" in str(refused)
        found.add(is_held, f"{name}: uid {held['Uid']}, capabilities {held['CapEff']}, seccomp, read-only root")


async def show_scores(stack: PodStack, found: Findings) -> None:
    async with AsyncClient(stack.gateways()) as client:
        for path in sorted(DEMO.glob("*.[jm]p*")):
            judgement = await client.score(path)
            score = judgement.score.value
            found.add(0.0 < score <= 10.0, f"{path.name} scores {score:.2f}, {len(judgement.attributes)} attributes")


async def show_sandbox(stack: PodStack, found: Findings) -> None:
    container = stack.pods["gateway"].container
    said = await podman("exec", "-i", container, "/opt/venv/bin/python", "-", stdin=_ESCAPES)
    outcomes: dict[str, str] = json.loads(said.splitlines()[-1])
    denied = [name for name, outcome in outcomes.items() if outcome != PERMITTED]
    left = sorted(outcomes.keys() - set(denied))
    found.add(not left, f"gateway: {len(denied)} of {len(outcomes)} escapes from the sandbox are denied {left or ''}")


async def show_scaling_and_sigterm(stack: PodStack, found: Findings, name: str) -> None:
    """A second pod is found by those that call the first, which is then stopped under load."""
    new = await stack.add(name)
    before = calls(new, name)
    servers = stack.gateways(new) if name == "gateway" else stack.gateways()
    async with Load(servers) as load:
        started = time.monotonic()
        await _until(lambda: calls(new, name) > before + 1, 2 * MAX_FIND_SECONDS)
        took = time.monotonic() - started
        found.add(took <= MAX_FIND_SECONDS, f"{name}: a second pod takes calls of old channels after {took:.0f} s")
        code = await stack.stop(name)
        scored = load.scored
        await _until(lambda: load.scored >= scored + 8 or bool(load.failures), 2 * MAX_FIND_SECONDS)
    lost = f"{len(load.failures)} of {load.scored + len(load.failures)} requests are lost"
    found.add(
        not load.failures and code == "0", f"{name}: SIGTERM under load, exit {code}: {lost} {load.failures[:1] or ''}"
    )
    await stack.replace(name, new)


async def _until(holds: Callable[[], bool], within_seconds: float) -> None:
    """Returns then, or when the time is over."""
    for _ in range(round(within_seconds * 2)):
        if holds():
            return
        await asyncio.sleep(0.5)


async def show_restart(stack: PodStack, found: Findings, name: str) -> None:
    await stack.restart(name)
    up = time.monotonic()
    async with AsyncClient(stack.gateways()) as client:
        while True:
            began = time.monotonic()
            try:
                await client.score(_other_photo())
                break
            except AssayError:
                if began - up > 60:
                    break
                await asyncio.sleep(0.1)
    healed = began - up
    found.add(
        healed <= MAX_HEAL_SECONDS, f"{name}: killed and started again, a photo sent {healed:.1f} s later is scored"
    )


def _half_copied(directory: Path) -> tuple[Path, str]:
    """A copy of nano whose largest file ends in the middle, and that file's name."""
    directory.chmod(0o755)
    copied = directory / "nano"
    shutil.copytree(NANO, copied)
    weights = max(copied.glob("*.safetensors"), key=lambda path: path.stat().st_size)
    with weights.open("r+b") as file:
        file.truncate(weights.stat().st_size // 2)
    return copied, weights.name


async def show_weights(stack: PodStack, found: Findings) -> None:
    """A pod with the wrong weights is never ready, and its log says why."""
    with tempfile.TemporaryDirectory() as directory:
        half, weights = _half_copied(Path(directory))
        absent = stack.trial("triton", TRITON_SERVER_CHECKPOINT="/mounted/absent", mount=half)
        copied = stack.trial("triton", TRITON_SERVER_CHECKPOINT="/mounted", mount=half)
        other = stack.trial("scoring", SCORING_FINGERPRINT="0123456789abcdef")
        for what, trial, word in (
            ("absent weights", absent, "no checkpoint directory"),
            ("half copied weights", copied, weights),
            ("another checkpoint", other, "wants 0123456789abcdef"),
        ):
            async with trial as pod:
                sentence = await _said(pod, word)
                found.add(
                    bool(sentence) and not await is_ready(pod), f"{what}: not ready: {sentence or await log(pod)}"
                )


async def _said(pod: Pod, word: str, within_seconds: float = 300.0) -> str:
    """The line of its log with that word; empty if there is none."""
    started = time.monotonic()
    while time.monotonic() - started < within_seconds:
        for line in (await log(pod)).splitlines():
            if word in line:
                return line
        await asyncio.sleep(1)
    return ""


async def main() -> int:
    found = Findings()
    docs = render(HERE / "overlays" / "local")
    names = [doc["metadata"]["name"] for doc in docs if doc["kind"] == "Deployment"]
    async with Podman(docs) as player:
        stack = PodStack(player)
        await stack.start(names)
        await show_hardening(stack, found)
        await show_scores(stack, found)
        await show_sandbox(stack, found)
        for name in names:
            await show_restart(stack, found, name)
        for name in _SCALED:
            await show_scaling_and_sigterm(stack, found, name)
        await show_weights(stack, found)
    return 0 if found.is_good else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
