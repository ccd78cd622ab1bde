"""Requests, errors by reason, time, and calls in flight, for Prometheus."""

from pathlib import Path
from typing import Any

from prometheus_client import Counter, Gauge, Histogram, start_http_server

import assay
from assay.errors import SettingsError

# From a direct score of a small model on a GPU to reasoning about a long clip on a CPU.
_BUCKETS_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)

ENDED = Counter("assay_calls_total", "Calls that ended, by reason (OK, or ErrorInfo.reason).", ["method", "reason"])
SECONDS = Histogram("assay_call_seconds", "From first byte to status.", ["method"], buckets=_BUCKETS_SECONDS)
BUILD = Gauge("assay_build_info", "1; which release of which program this is.", ["program", "version"])
RELOAD_FAILURES = Counter(
    "assay_reload_failures_total", "Changed files that could not be used, by kind; the old ones stay in use.", ["kind"]
)
LOST_SPANS = Counter("assay_spans_lost_total", "Spans that the collector of traces did not take.")
QUOTA_STORE_FAILURES = Counter(
    "assay_quota_store_failures_total", "Times that Redis did not answer and quotas were counted in process."
)
QUEUED = Gauge("assay_requests_queued", "Requests whose files are there and that wait for a place.", ["priority_class"])
PLACES = Gauge("assay_places", "Places that are held.", ["priority_class"])
QUEUE_SECONDS = Histogram("assay_queue_seconds", "Wait for a place.", ["priority_class"], buckets=_BUCKETS_SECONDS)
RECEIVED_BYTES = Counter("assay_received_bytes_total", "Bytes of files that were received.")
DECODE_CPU_SECONDS = Counter("assay_decode_cpu_seconds_total", "Processor time of decode workers.")
FRAMES = Counter("assay_frames_total", "Frames, by kind: decoded, or sampled for the model.", ["kind"])
TOKENS = Counter("assay_tokens_total", "Tokens, by kind: prompt (read) or answer (written).", ["kind"])
TENANT_REQUESTS = Counter(
    "assay_tenant_requests_total",
    "Requests and live streams of the tenants that are listed, by outcome.",
    ["tenant", "reason"],
)
TENANT_BYTES = Counter("assay_tenant_bytes_total", "Bytes of files of the tenants that are listed.", ["tenant"])
TENANT_TOKENS = Counter("assay_tenant_tokens_total", "Tokens of the tenants that are listed.", ["tenant"])
RESTARTS = Counter(
    "assay_restarts_total",
    "Processes that were replaced: decode workers (worn, died) and Triton (died, stopped, unanswered, renewed, start).",
    ["process", "cause"],
)
STAGE_SECONDS = Histogram(
    "assay_stage_seconds", "Seconds of a request in a stage: decoding, engine.", ["stage"], buckets=_BUCKETS_SECONDS
)
FIRST_EVENT_SECONDS = Histogram(
    "assay_first_event_seconds", "From the begin of a call to its first message.", ["method"], buckets=_BUCKETS_SECONDS
)
IN_FLIGHT = Gauge("assay_calls_in_flight", "Calls that are being answered.", ["method"])


def serve_build_info(program: str) -> None:
    """Puts the release into the metrics."""
    BUILD.labels(program, assay.__version__).set(1)


def serve_metrics(
    address: str, certificate: Path | None = None, key: Path | None = None, ca: Path | None = None
) -> Any:
    """Serves GET /metrics on HOST:PORT from a thread, whose server is given back. SettingsError if the port is taken.

    With a certificate over TLS, and with `ca`, authorities, to scrapers that show a certificate of theirs.
    """
    host, _, port = address.rpartition(":")
    tls: dict[str, Any] = {"certfile": certificate, "keyfile": key, "client_cafile": ca}
    try:
        server, _ = start_http_server(int(port), host.strip("[]"), client_auth_required=ca is not None, **tls)
        return server
    except OSError as taken:
        raise SettingsError(f"metrics cannot be served on {address}: {taken.strerror}; choose a free port") from taken
