"""Settings of the triton_server program, environment variables TRITON_SERVER_*; and the ports that 0 stands for."""

import socket
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from assay.errors import SettingsError
from assay.rpc.access import PemPath
from assay.rpc.settings import OptionalAddress
from triton_server.install import DEFAULT_DIRECTORY

Port = Annotated[int, Field(ge=0, le=65535)]
_REPOSITORY = Path(__file__).resolve().parents[1] / "triton_models"


class TritonServerSettings(BaseSettings):
    """Paths may be relative to the working directory."""

    model_config = SettingsConfigDict(env_prefix="TRITON_SERVER_", validate_default=True)

    checkpoint: Annotated[Path, Field(description="the directory of a checkpoint")] = Path("checkpoints/nano")
    """The model to serve."""
    model_repository: Annotated[Path, Field(description="a directory of Triton models")] = _REPOSITORY
    """Triton's side of the engine."""
    directory: Annotated[Path, Field(description="a directory")] = DEFAULT_DIRECTORY
    """Where `python -m triton_server install` puts Triton, and where it is started from; or a server that is there
    already, such as NVIDIA's /opt/tritonserver, which is also found by itself where nothing was installed."""

    host: Annotated[str, Field(min_length=1, description="an address of this machine")] = "127.0.0.1"
    """Where gRPC and metrics listen; where there is TLS, metrics stay on 127.0.0.1 unless `insecure`. HTTP, which can
    load and unload models, stays there always."""
    tls_certificate: PemPath = None
    """The certificate with its chain that Triton shows at its gRPC port; none: plain text."""
    tls_key: PemPath = None
    """The certificate's key."""
    tls_authorities: PemPath = None
    """Authorities of the certificates of programs that may call; with them nobody else connects."""
    tls_renewal_seconds: Annotated[float, Field(ge=0, le=86400)] = 600.0
    """Triton reads these files at its start alone: once they have changed it is stopped and started again, at a moment
    by chance within so many seconds, so that replicas do not all go at once."""
    insecure: bool = False
    """Listen beyond loopback without TLS and authorities, and serve Triton's metrics there in plain text."""
    grpc_port: Port = 0
    """Where generations are asked for. 0 picks a free port, the same after each restart."""
    http_port: Port = 0
    """Where this program loads the model; 0: a free one."""
    health_address: OptionalAddress = ""
    """Where health is served to probes, over gRPC: `qwen2_vl` once the model has answered, `live` always; empty:
    nowhere."""
    metrics_port: Port = 0
    """Where Prometheus finds Triton's and the engine's metrics; 0: a free one."""
    supervisor_metrics_address: OptionalAddress = ""
    """Where Prometheus finds the same and how often Triton was restarted, and why, over TLS where there is TLS; empty:
    nowhere."""

    max_in_flight: Annotated[int, Field(ge=1, le=256)] = 8
    """Generations that are advanced together."""
    max_waiting: Annotated[int, Field(ge=0, le=4096)] = 32
    """Generations in the queue; beyond them Busy."""
    threads: Annotated[int | None, Field(ge=1, le=1024, description="a whole number from 1 to 1024")] = None
    """Threads of torch; its own choice if not set."""
    instances: Annotated[int, Field(ge=1, le=64)] = 1
    """Engines, each a process with weights of its own: on every GPU that is used, or on the CPU."""
    gpus: Annotated[
        str, Field(pattern=r"^(auto|none|\d+(,\d+)*)$", description="auto, none, or numbers such as 0,1")
    ] = "auto"
    """The GPUs that get engines, by CUDA's numbers; auto: every visible one. A `device` that is set goes before it."""
    device: Annotated[str | None, Field(pattern=r"^(cpu|cuda(:\d+)?)$", description="cpu, cuda or cuda:NUMBER")] = None
    """CUDA if there is any and nothing is set."""
    engine: Literal["auto", "assay", "vllm"] = "auto"
    """Our own (assay, on a CPU) or vLLM's; auto: ours on a CPU, vLLM on a GPU."""
    environment: Annotated[Path | None, Field(description="the directory of a virtual environment")] = None
    """Whose packages the model imports; this program's own if not set, and for vLLM, where that has none, `.venv-vllm`
    as `make vllm` makes it."""
    tensor_parallel: Annotated[int, Field(ge=1, le=64)] = 1
    """GPUs that one model of vLLM is spread over; a divisor of its attention heads. Such a model is one engine."""
    cache_mib: Annotated[int, Field(ge=0, le=1 << 20)] = 256
    """Size of our own engine's prefix and encoder caches, evicted least recently used first; of vLLM's KV cache on a
    CPU, at least 1024. On a GPU vLLM takes what is left."""
    number_format: Literal["auto", "stored", "bfloat16", "int8"] = "auto"
    """In what numbers our own engine computes. stored: the checkpoint's own, exactly; bfloat16, on a CPU that has
    products for it, or int8 in the vision tower, on any with AVX2: scores move in the second decimal; auto: what was
    measured for this processor and such a checkpoint (docs/speed.md). Replicas on unlike machines score alike only if
    it is set."""

    start_timeout_seconds: Annotated[float, Field(gt=0, le=3600)] = 300.0
    """From the start of the process until the model is loaded."""
    grace_seconds: Annotated[float, Field(ge=0, le=600)] = 10.0
    """How long generations in flight may go on after SIGTERM."""
    max_stopped_seconds: Annotated[float, Field(gt=0, le=3600)] = 60.0
    """How long a stopped process (SIGSTOP, a debugger) may take to go on before the server is replaced."""
    warm_up: bool = True
    """Ready only after a picture and a clip of the checkpoint's largest sizes were answered."""
    canary_interval_seconds: Annotated[float, Field(gt=0, le=3600)] = 10.0
    """Pause between two tiny requests that show whether the model still answers."""
    canary_timeout_seconds: Annotated[float, Field(gt=0, le=3600)] = 30.0
    """How long a tiny request may wait for a token. Three in a row that fail restart the server, unless tokens of other
    requests were counted meanwhile."""


@dataclass(frozen=True, slots=True)
class Ports:
    """Where the server listens."""

    grpc: int
    http: int
    metrics: int


def choose_ports(settings: TritonServerSettings) -> Ports:
    """Those of the settings, free ones in place of 0. SettingsError names the variable of a port that is taken."""
    return _bound(settings, Ports(settings.grpc_port, settings.http_port, settings.metrics_port))


def check_free(settings: TritonServerSettings, ports: Ports) -> None:
    """SettingsError names the variable of a port that another program has taken since it was chosen."""
    _bound(settings, ports)


def _bound(settings: TritonServerSettings, ports: Ports) -> Ports:
    with ExitStack() as all_open:
        return Ports(
            _bind(all_open, settings.host, ports.grpc, "TRITON_SERVER_GRPC_PORT"),
            _bind(all_open, "127.0.0.1", ports.http, "TRITON_SERVER_HTTP_PORT"),
            _bind(all_open, settings.host, ports.metrics, "TRITON_SERVER_METRICS_PORT"),
        )


def _bind(all_open: ExitStack, host: str, port: int, variable: str) -> int:
    # All three stay bound until the last is chosen, so that no two are the same.
    listening = all_open.enter_context(socket.socket())
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as refused:
        raise SettingsError(
            f"{variable}: cannot listen on {host}:{port} ({refused.strerror})", field=variable
        ) from None
    return int(listening.getsockname()[1])
