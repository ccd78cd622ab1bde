"""Server: one life of the tritonserver process, from its start on a leash until nothing of it is left."""

import asyncio
import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import assay
from assay.errors import AssayError, CheckpointError, ModelUnavailable, SettingsError
from assay.triton import config_with_instances
from triton_server.gpus import chosen_gpus
from triton_server.install import binaries
from triton_server.model_environment import variables
from triton_server.processes import Process, children_of
from triton_server.relay import MAX_LINE_BYTES, Relay
from triton_server.settings import Ports, TritonServerSettings
from triton_server.tls import flags

MODEL = "qwen2_vl"
SHM_PREFIX = "assay_triton_"
_LEASH = Path(__file__).with_name("leash.py")
_STUB_NAME = "triton_python_b"
_LOAD_WATCH_SECONDS = 0.5
_STUB_SECONDS = 2.0
"""Longer than Triton takes from the order to load until it has started a stub."""
_STUB_DIED = "is not healthy"
"""Triton's word for a stub that has ended without a word of its own."""
_KILL_SECONDS = 10.0
"""Given to the leash beyond the grace period."""


class ServerDied(ModelUnavailable):
    """The tritonserver process or its stub ended by itself; the log may say why. Another start may go well."""


class Server:
    """A running tritonserver. Made by start(), ended by stop()."""

    def __init__(self, settings: TritonServerSettings, ports: Ports, leash: asyncio.subprocess.Process) -> None:
        self._settings = settings
        self._admin = f"http://127.0.0.1:{ports.http}/v2"
        self._metrics = metrics_url(settings, ports)
        self._leash = leash
        assert leash.stdout is not None
        self.relay = Relay(leash.stdout)
        self._watched: tuple[Process, ...] = ()
        self._is_held = False

    @classmethod
    async def start(cls, settings: TritonServerSettings, ports: Ports) -> "Server":
        """Start the process, without the model. CannotInstall if there is nothing to start."""
        prefix = f"{SHM_PREFIX}{os.getpid()}_"
        leash = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", str(_LEASH), prefix, str(settings.grace_seconds)),
            *_command(settings, ports, prefix),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            limit=MAX_LINE_BYTES,
            env=variables(settings),
            # The stub has its working directory on sys.path: it imports the same `assay` as this program.
            cwd=Path(assay.__file__).parents[1],
            start_new_session=True,
        )
        return cls(settings, ports, leash)

    async def load_model(self) -> None:
        """Wait for the server and load the model into it.

        CheckpointError or SettingsError with the model's own sentence, ServerDied, ModelUnavailable with Triton's.
        """
        try:
            async with asyncio.timeout(self._settings.start_timeout_seconds):
                await self._until_live()
                refusal = await self._load()
        except TimeoutError:
            raise ModelUnavailable(
                f"The model was not loaded within {self._settings.start_timeout_seconds:g} s "
                "(TRITON_SERVER_START_TIMEOUT_SECONDS)."
            ) from None
        if self._leash.returncode is not None:
            raise ServerDied("tritonserver ended while it loaded the model.")
        if refusal:
            raise _why_not_loaded(refusal)
        self._watched = tuple(_server_and_stubs(self._leash.pid))

    def hold_while_stopped(self) -> bool:
        """Whether a process is stopped now, from outside. Holds the server for as long as its stub is stopped.

        A request that reaches this release of Triton meanwhile is refused after a second, one after the other, and its
        memory is freed; the stub reads it all the same when it goes on, and dies of that. With the server stopped as
        well, requests wait in its sockets (callers see that it does not answer, assay/triton/liveness.py) and both go
        on.
        """
        server, *stubs = self._watched
        is_stub_stopped = any(stub.is_stopped for stub in stubs)
        if is_stub_stopped and server.is_alive and not server.is_stopped:
            os.kill(server.pid, signal.SIGSTOP)
            self._is_held = True
        elif self._is_held and not is_stub_stopped and server.is_alive:
            os.kill(server.pid, signal.SIGCONT)
            self._is_held = False
        return is_stub_stopped or server.is_stopped

    def trouble(self) -> str:
        """What has ended that should run, in words; empty if all is well."""
        if self._leash.returncode is not None:
            return f"tritonserver ended with status {self._leash.returncode}"
        dead = [process for process in self._watched if not process.is_alive]
        return ", ".join(f"{process.name} ({process.pid}) has died" for process in dead)

    async def responses(self) -> float:
        """How many responses the engines have sent; -1 if the server does not say."""
        return await asyncio.to_thread(_responses, self._metrics)

    async def stop(self) -> None:
        """SIGTERM, the grace period, SIGKILL; returns when all of its processes and its shared memory are gone."""
        if self._is_held:
            await self.kill()
            return
        if self._leash.returncode is None:
            self._leash.terminate()
        try:
            await asyncio.wait_for(self._leash.wait(), self._settings.grace_seconds + _KILL_SECONDS)
        except TimeoutError:
            self._leash.kill()
            await self._leash.wait()
        for left in (process for process in self._watched if process.is_alive):
            # Only if the leash itself was killed. A stub does not see that its server has died (leash.py).
            with contextlib.suppress(ProcessLookupError):
                os.kill(left.pid, signal.SIGKILL)
        await self.relay.end()

    async def kill(self) -> None:
        """SIGKILL at once, for a server whose streams hang."""
        assert self._leash.stdin is not None
        self._leash.stdin.close()
        self._is_held = False
        await self.stop()

    async def _load(self) -> str:
        """What Triton says to the load, empty if all is well. ServerDied if there is no stub that could answer."""
        posting = asyncio.create_task(
            asyncio.to_thread(_post, f"{self._admin}/repository/models/{MODEL}/load", _load_body(self._settings))
        )
        without_stub_seconds = 0.0
        try:
            while not (await asyncio.wait([posting], timeout=_LOAD_WATCH_SECONDS))[0]:
                # Triton itself finds out if a stub dies while it imports, but waits for ever for one killed before.
                has_stub = any(children_of(server.pid) for server in children_of(self._leash.pid))
                without_stub_seconds = 0.0 if has_stub else without_stub_seconds + _LOAD_WATCH_SECONDS
                if without_stub_seconds > _STUB_SECONDS:
                    raise ServerDied("the process of the model died before it could load.")
            return posting.result()
        finally:
            posting.cancel()

    async def _until_live(self) -> None:
        while await asyncio.to_thread(_get_status, f"{self._admin}/health/live") != 200:
            if self._leash.returncode is not None:
                raise ServerDied(f"tritonserver ended with status {self._leash.returncode} when it was started.")
            await asyncio.sleep(0.05)


def _command(settings: TritonServerSettings, ports: Ports, shm_prefix: str) -> list[str]:
    triton = binaries(settings.directory.resolve())
    return [
        str(triton / "bin" / "tritonserver"),
        f"--model-repository={settings.model_repository.resolve()}",
        f"--backend-directory={triton / 'backends'}",
        f"--backend-config=python,shm-region-prefix-name={shm_prefix}",
        "--disable-auto-complete-config",
        # Loaded over HTTP, whose answer carries the reason if that fails.
        "--model-control-mode=explicit",
        "--http-address=127.0.0.1",
        f"--http-port={ports.http}",
        f"--grpc-address={settings.host}",
        f"--grpc-port={ports.grpc}",
        *flags(settings),
        f"--metrics-address={metrics_host(settings)}",
        f"--metrics-port={ports.metrics}",
        "--allow-gpu-metrics=false",
        "--pinned-memory-pool-byte-size=0",
        "--log-info=false",
        f"--exit-timeout-secs={max(1, round(settings.grace_seconds))}",
        # Clients ping every 5 s; by default Triton takes more than one ping in 300 s for an attack.
        "--grpc-http2-min-recv-ping-interval-without-data=1000",
        "--grpc-http2-max-ping-strikes=0",
        "--grpc-keepalive-time=10000",
        "--grpc-keepalive-timeout=5000",
        # Clients resolve the name again, and find servers that were added. Streams go on to their end.
        "--grpc-max-connection-age=20000",
        # Who may ask for scores may not load models, map memory or change logging.
        f"--grpc-restricted-protocol=model-repository,shared-memory,trace,logging:admin={secrets.token_hex(16)}",
    ]


def _load_body(settings: TritonServerSettings) -> bytes:
    """Asks for one instance group: engines on each GPU, or on the CPU. SettingsError names a GPU that is not there."""
    gpus = chosen_gpus(settings)
    kind = "KIND_GPU" if gpus else "KIND_MODEL"
    pbtxt = (settings.model_repository / MODEL / "config.pbtxt").read_text(encoding="utf-8")
    config = config_with_instances(pbtxt, kind, settings.instances, gpus[:: settings.tensor_parallel])
    return json.dumps({"parameters": {"config": config}}).encode()


def _server_and_stubs(leash_pid: int) -> list[Process]:
    servers = children_of(leash_pid)
    stubs = [child for server in servers for child in children_of(server.pid) if child.name == _STUB_NAME]
    return [*servers, *stubs]


def metrics_host(settings: TritonServerSettings) -> str:
    """Triton has no TLS for its metrics."""
    return "127.0.0.1" if settings.tls_certificate and not settings.insecure else settings.host


def metrics_url(settings: TritonServerSettings, ports: Ports) -> str:
    """Where Triton's and the engine's are read on this machine."""
    return f"http://{reachable(metrics_host(settings))}:{ports.metrics}/metrics"


def reachable(host: str) -> str:
    """Where a server that listens on `host` is reached from this machine."""
    return "127.0.0.1" if host in ("0.0.0.0", "::") else host


def _responses(url: str) -> float:
    try:
        with urllib.request.urlopen(url, timeout=5) as metrics:
            lines = metrics.read().decode().splitlines()
    except OSError:
        return -1.0
    return sum(float(line.split()[-1]) for line in lines if line.startswith("assay_engine_responses_total"))


def _get_status(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return int(response.status)
    except OSError:
        return 0


def _post(url: str, body: bytes) -> str:
    """Empty if it went well, otherwise what the server has to say. ServerDied if it is gone."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data=body), timeout=None):
            return ""
    except urllib.error.HTTPError as refused:
        return refused.read().decode(errors="replace")
    except OSError as lost:
        raise ServerDied(f"tritonserver ended while it loaded the model ({lost}).") from lost


def _why_not_loaded(refusal: str) -> AssayError:
    """The error that model.py wrote into Triton's message as `assay_error {...}`, or one with all of the message."""
    try:
        text: str = json.loads(refusal)["error"]
    except (ValueError, KeyError, TypeError):
        text = refusal
    _, mark, ours = text.partition("assay_error ")
    if not mark and _STUB_DIED in text:
        return ServerDied(f"the process of the model died while it loaded ({text.strip()})")
    if not mark:
        return ModelUnavailable(f"Triton cannot load {MODEL}: {text.strip()}")
    error, _ = json.JSONDecoder().raw_decode(ours)
    kind = next((kind for kind in (CheckpointError, SettingsError) if kind.reason == error["reason"]), AssayError)
    return kind(error["message"])
