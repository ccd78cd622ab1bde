"""What an operator can set, as environment variables GATEWAY_…."""

import math
from dataclasses import fields, replace
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from assay.rpc.settings import Address, Hosts, OptionalAddress, OptionalServer, Origins, ServerSettings
from assay.video import VideoOptions
from gateway.decode.spec import DecodeLimits
from gateway.upload import UploadLimits
from gateway.video_plan import VideoDefaults

_BUDGET = DecodeLimits()
_UPLOAD = UploadLimits()


class GatewaySettings(ServerSettings):
    """Beside what every program can be told. Addresses are HOST:PORT (port 0: a free one) or unix:PATH."""

    model_config = SettingsConfigDict(env_prefix="GATEWAY_")

    address: Address = "127.0.0.1:50051"
    """Where clients are served."""
    attribute_extraction: Address = "127.0.0.1:50052"
    """The attribute extraction service."""
    scoring: Address = "127.0.0.1:50053"
    """The scoring service."""
    fetch: OptionalServer = ""
    """The fetch service; empty: files are taken by upload only."""
    http_address: OptionalAddress = ""
    """Where the page, REST and gRPC-Web are served; empty: nowhere. Loopback alone."""
    http_hosts: Hosts = ()
    """Names that this server is asked by over HTTP, beside those of loopback."""
    http_origins: Origins = ()
    """Other pages that may ask over HTTP."""
    http_spool_directory: str = ""
    """Where uploads in slices over HTTP wait; empty: the system's directory for temporary files."""
    http_spool_bytes: Annotated[int, Field(ge=1)] = 2 << 30
    """Size of all uploads in slices together."""
    http_max_uploads: Annotated[int, Field(ge=1, le=4096)] = 64
    """Uploads in slices at once."""
    http_upload_life_seconds: Annotated[float, Field(gt=0, le=86400)] = 600.0
    """So long after its last use an upload in slices is forgotten."""
    http_patience_seconds: Annotated[float, Field(ge=0, le=3600)] = 30.0
    """So long the scoring of an upload goes on with nobody listening; a page that is reloaded joins it again."""
    decode_workers: Annotated[int, Field(ge=1, le=64)] = 2
    """Decode processes that compute at once; about as many as there are cores."""
    decode_spares: Annotated[int, Field(ge=0, le=64)] = 1
    """Further processes that stand by in case one dies."""
    decode_max_processes: Annotated[int, Field(ge=1, le=1024)] = 32
    """Decode processes at most, those included that wait for somebody to take their frames, with about 30 MB each."""
    decode_jobs_per_worker: Annotated[int, Field(ge=1)] = 200
    """Uploads after which a process is replaced."""
    decode_max_idle_bytes: Annotated[int, Field(ge=1)] = 300 << 20
    """Resident memory between two uploads above which a process is replaced."""
    require_landlock: bool = False
    """True: do not start on a kernel without Landlock. False: say so in the log and go on behind the other locks."""
    max_in_flight: Annotated[int, Field(ge=1, le=4096)] = 32
    """Requests at once; one more is refused with RESOURCE_EXHAUSTED before a byte of it is read. An upload whose client
    is slow gives its place to the next request."""
    queue_seconds: Annotated[float, Field(gt=0, le=3600)] = 30.0
    """Longest wait of an upload for a decoder, or for a place that it had given away; then it is refused as BUSY."""
    max_unfinished_uploads: Annotated[int, Field(ge=1, le=65536)] = 1024
    """Uploads at once that have not come to their end."""
    max_unfinished_uploads_per_peer: Annotated[int, Field(ge=1, le=65536)] = 128
    """Of one address (of one /64 network in IPv6); set it higher where all clients come through one proxy."""
    max_live_streams: Annotated[int, Field(ge=0, le=256)] = 4
    """Live streams at once, each of which keeps one decode process; 0: none are taken."""
    max_waiting_windows: Annotated[int, Field(ge=1, le=64)] = 2
    """Windows of a live stream that wait to be judged before the oldest is left out, or the client has to wait."""
    windows_at_once: Annotated[int, Field(ge=1, le=64)] = 2
    """Clips of one video that are judged at the same time."""
    heartbeat_seconds: Annotated[float, Field(gt=0, le=3600)] = 10.0
    """A streaming call that has nothing to tell for so long sends a heartbeat."""
    upload_idle_seconds: Annotated[float, Field(gt=0, le=3600)] = _UPLOAD.idle_seconds
    """An upload that sends nothing for so long is ended."""
    upload_min_bytes_per_second: Annotated[float, Field(gt=0)] = _UPLOAD.min_bytes_per_second
    """An upload, or a live stream, that is slower than this for longer than the time of grace is ended."""
    upload_grace_seconds: Annotated[float, Field(gt=0, le=3600)] = _UPLOAD.grace_seconds
    """For so long an upload may be slower: at its start, and again after it was faster."""
    upload_max_seconds: Annotated[float, Field(gt=0)] = _UPLOAD.max_seconds
    """Longest upload, the time not counted in which the client had to wait for us."""
    upload_spool_bytes: Annotated[int, Field(ge=0)] = 64 << 20
    """Bytes of one upload that may wait for a decoder in a sealed file in memory; the rest waits with its client."""
    spool_bytes: Annotated[int, Field(ge=0)] = 1 << 30
    """Bytes of all uploads together that may wait so."""
    max_image_bytes: Annotated[int, Field(ge=1)] = 32 << 20
    """Of the file of a picture."""
    max_video_bytes: Annotated[int, Field(ge=1)] = 512 << 20
    """Of the file of a video."""
    max_duration_seconds: Annotated[float, Field(gt=0)] = 1200.0
    """Longest video, by the presentation time of its frames."""

    # How a video is looked at where a request does not say; see VideoOptions in protos/assay/v1/assay.proto.
    sampling: Literal["fps", "uniform", "scene"] = "fps"
    sampling_frames_per_second: Annotated[float, Field(ge=0, le=60)] = 0.0
    """For fps and scene; 0: the model's."""
    sampling_frame_count: Annotated[int, Field(ge=1, le=64)] = 16
    """For uniform."""
    key_frames: Literal["exact", "auto", "only"] = "auto"
    key_frames_from_seconds: Annotated[float, Field(gt=0)] = 2.0
    """With auto, key frames stand for others where a sample stands for so long, and every frame is decoded where not;
    measured in benchmarks/LOG.md."""
    keep_repeats: bool = False
    """Show the model a frame that is nearly the same as the last one."""
    repeat_levels: Annotated[float, Field(ge=0, le=255)] = 1.0
    """Mean difference, in grey levels of 255, up to which two frames are nearly the same; see assay/repeats.py."""
    window_seconds: Annotated[float, Field(ge=0, le=600)] = 0.0
    """Length of a window; 0: the model's."""
    window_hop_seconds: Annotated[float, Field(ge=0, le=86400)] = 0.0
    """From the start of one window to the start of the next; 0: the length."""
    max_windows: Annotated[int, Field(ge=1, le=10_000)] = 10_000
    """Windows of one video; more of them end it with a partial result."""
    pooling: Literal["mean", "percentile", "worst"] = "mean"
    """How the scores of a video's windows become one."""
    pooling_percentile: Annotated[float, Field(gt=0, le=100)] = 10.0
    """For percentile: which one."""
    pooling_worst_count: Annotated[int, Field(ge=1, le=10_000)] = 3
    """For worst: the mean of how many."""

    # Budgets of one decode; what each means stands in `gateway.decode.spec.DecodeLimits`.
    max_image_pixels: Annotated[int, Field(ge=1)] = _BUDGET.max_image_pixels
    max_video_pixels: Annotated[int, Field(ge=1)] = _BUDGET.max_video_pixels
    max_streams: Annotated[int, Field(ge=1)] = _BUDGET.max_streams
    max_samples: Annotated[int, Field(ge=1)] = _BUDGET.max_samples
    max_index_bytes: Annotated[int, Field(ge=1)] = _BUDGET.max_index_bytes
    max_frames: Annotated[int, Field(ge=1)] = _BUDGET.max_frames
    max_packets_without_frame: Annotated[int, Field(ge=1)] = _BUDGET.max_packets_without_frame
    max_read_ratio: Annotated[float, Field(ge=1)] = _BUDGET.max_read_ratio
    max_corrupt_share: Annotated[float, Field(ge=0, le=1)] = _BUDGET.max_corrupt_share
    max_cpu_seconds: Annotated[float, Field(gt=0)] = _BUDGET.max_cpu_seconds
    cpu_seconds_per_media_second: Annotated[float, Field(ge=0)] = _BUDGET.cpu_seconds_per_media_second
    max_wall_seconds: Annotated[float, Field(gt=0)] = _BUDGET.max_wall_seconds
    wall_seconds_per_media_second: Annotated[float, Field(ge=0)] = _BUDGET.wall_seconds_per_media_second
    max_memory_bytes: Annotated[int, Field(ge=64 << 20)] = _BUDGET.max_memory_bytes

    def video_defaults(self) -> VideoDefaults:
        """How a video is looked at where a request does not say."""
        options = VideoOptions(
            sampling=self.sampling,
            frames_per_second=self.sampling_frames_per_second or None,
            frame_count=self.sampling_frame_count,
            key_frames=self.key_frames,
            keep_repeats=self.keep_repeats,
            window_seconds=self.window_seconds or None,
            hop_seconds=self.window_hop_seconds or None,
            pooling=self.pooling,
            percentile=self.pooling_percentile,
            worst_count=self.pooling_worst_count,
        )
        return VideoDefaults(options, self.key_frames_from_seconds, self.repeat_levels, self.max_windows)

    def upload_limits(self) -> UploadLimits:
        """How slow a client may be."""
        return UploadLimits(
            self.upload_idle_seconds,
            self.upload_grace_seconds,
            self.upload_min_bytes_per_second,
            self.upload_max_seconds,
        )

    def live_limits(self) -> UploadLimits:
        """The same for a live stream, which may go on for ever."""
        return replace(self.upload_limits(), max_seconds=math.inf)

    def decode_limits(self) -> DecodeLimits:
        """The budgets of one decode."""
        own = {each.name: getattr(self, each.name) for each in fields(DecodeLimits) if each.name != "max_upload_bytes"}
        return DecodeLimits(max_upload_bytes=self.max_video_bytes, **own)

    def spool_path(self) -> Path | None:
        """The directory for uploads in slices; None for the system's."""
        return Path(self.http_spool_directory) if self.http_spool_directory else None
