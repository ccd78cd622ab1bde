"""Options of gRPC, in one place: a client pings more often than a server allows only if they are written apart."""

import json

_PING_MS = 10_000

SERVER: list[tuple[str, int]] = [
    # Two programs on one port would each get half of the calls; better a refusal at the start.
    ("grpc.so_reuseport", 0),
    # A client may ping twice as often as ours do before it gets GOAWAY.
    ("grpc.http2.min_ping_interval_without_data_ms", _PING_MS // 2),
    ("grpc.keepalive_permit_without_calls", 1),
    # A connection that says nothing costs 13 kB until it is dropped; the default is after two minutes.
    ("grpc.server_handshake_timeout_ms", 5_000),
    ("grpc.max_concurrent_streams", 256),
    # A client looks its name up again when a connection ends, and only then finds new pods. gRPC spreads this by a
    # tenth; calls in flight end in peace. A cluster's DNS may be 30 s old: with this they are found within 52 s.
    ("grpc.max_connection_age_ms", 20_000),
    # What a client may send ahead of us. Left to itself gRPC measures the line and takes in 9 MB of an upload that we
    # read no faster than the model judges it. One mebibyte is 80 Mbit/s over 100 ms.
    ("grpc.http2.bdp_probe", 0),
    ("grpc.http2.lookahead_bytes", 1 << 20),
    # Messages are unpacked and refused by us (`assay.rpc.messages`), with a reason and within bounds. What is larger
    # than this gRPC refuses itself, with a status alone.
    ("grpc.per_message_decompression", 0),
    # Likewise metadata (`assay.rpc.call`).
    ("grpc.max_metadata_size", 64 << 10),
    ("grpc.absolute_max_metadata_size", 128 << 10),
    ("grpc.max_receive_message_length", 64 << 20),
]

_RETRY_BEFORE_THE_FIRST_ANSWER = {
    # Over every address that a name has (a headless service in Kubernetes has one per pod).
    "loadBalancingConfig": [{"round_robin": {}}],
    "methodConfig": [
        {
            "name": [{}],
            # gRPC itself never retries a call of which anything has been answered.
            "retryPolicy": {
                "maxAttempts": 4,
                "initialBackoff": "0.1s",
                "maxBackoff": "1s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ],
    # A peer that is down is not asked four times by everybody.
    "retryThrottling": {"maxTokens": 100, "tokenRatio": 0.1},
}

CHANNEL: list[tuple[str, int | str]] = [
    ("grpc.keepalive_time_ms", _PING_MS),
    ("grpc.keepalive_timeout_ms", 5_000),
    # Without it a frozen peer is found after 60 s, whatever keepalive says.
    ("grpc.http2.ping_timeout_ms", 5_000),
    ("grpc.http2.max_pings_without_data", 0),
    # A restarted peer is found again within the second.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    # Names are resolved again at once when a connection has ended; by default 30 s later.
    ("grpc.dns_min_time_between_resolutions_ms", 5_000),
    ("grpc.service_config", json.dumps(_RETRY_BEFORE_THE_FIRST_ANSWER)),
]

# Between our programs. A pod that is not ready, or that ends, gets no new calls as soon as its health says so
# (`assay.rpc.health`); a client outside may have a proxy before it that knows nothing of health.
_CHECKED = {**_RETRY_BEFORE_THE_FIRST_ANSWER, "healthCheckConfig": {"serviceName": ""}}
CHECKED_CHANNEL: list[tuple[str, int | str]] = [
    (name, json.dumps(_CHECKED) if name == "grpc.service_config" else value) for name, value in CHANNEL
]
