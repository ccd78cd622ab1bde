"""Memory that a checkpoint takes while it is served, and the tokens of what it is shown, computed from its files; and
the memory that there is.

Activations are those of the vision tower's widest layer for the largest picture, which is more than the language model
needs at once; attention keeps no table of scores.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from assay.checkpoint import ModelSpec
from assay.weight_shapes import check_weights, text_shape, vision_shape
from assay.weights import check_config, check_files, read_json, stored_tensors

LIBRARIES_BYTES = 700 << 20
"""A process with torch and transformers in it, before anything is loaded."""
_BYTES_PER_TOKEN = 2
"""Of question and form, at least: Qwen's tokens have four characters of English on average."""
FLOAT32_BYTES, BFLOAT16_BYTES = 4, 2
_CGROUP = Path("/sys/fs/cgroup")
_UNLIMITED = 1 << 60


@dataclass(frozen=True, slots=True)
class ModelMemory:
    """Of one engine, in bytes unless a name says otherwise."""

    weights: int
    kv_per_token: int
    vision_activations: int
    cache: int
    requests: int
    """In flight at once."""
    picture_tokens: int
    """Of the largest picture."""
    clip_tokens: int
    """Of the longest clip of a video, in its largest frames."""
    video_minute_tokens: int
    text_tokens: int
    """Question and answer of the longest form, at most."""

    @property
    def request_tokens(self) -> int:
        """Of the longest request."""
        return max(self.picture_tokens, self.clip_tokens) + self.text_tokens

    @property
    def kv(self) -> int:
        """KV cache of as many of the longest requests as are in flight."""
        return self.requests * self.request_tokens * self.kv_per_token

    @property
    def total(self) -> int:
        return self.weights + self.kv + self.vision_activations + self.cache + LIBRARIES_BYTES


def check_stored(directory: Path) -> None:
    """CheckpointError names the file, key or weight that is missing, cut off or of another shape; loads nothing."""
    check_files(directory)
    config = read_json(directory / "config.json")
    check_config(config)
    check_weights(config, stored_tensors(directory))


def model_memory(
    directory: Path, checkpoint: ModelSpec, *, number_bytes: int, requests: int, cache_bytes: int
) -> ModelMemory:
    """`number_bytes`: of a weight or activation where it is computed. CheckpointError if files are not as they say."""
    config = read_json(directory / "config.json")
    text, vision = text_shape(config), vision_shape(config)
    pixels, clip = checkpoint.pixels, checkpoint.clip
    token_px = (pixels.patch_px * pixels.merge) ** 2
    frames = min(clip.max_frames, math.ceil(clip.seconds * clip.frames_per_second))
    clip_tokens = math.ceil(frames / pixels.temporal_patch) * math.ceil(pixels.video_max_pixels / token_px)
    patches = math.ceil(max(pixels.max_pixels, pixels.video_max_pixels) / pixels.patch_px**2)
    return ModelMemory(
        weights=sum(tensor.parameters for tensor in stored_tensors(directory).values()) * number_bytes,
        kv_per_token=2 * text.layers * text.kv_heads * text.head_width * number_bytes,
        vision_activations=patches * (5 * vision.width + 2 * vision.mlp_width) * number_bytes,
        cache=cache_bytes,
        requests=requests,
        picture_tokens=math.ceil(pixels.max_pixels / token_px),
        clip_tokens=clip_tokens,
        video_minute_tokens=math.ceil(60 / clip.seconds * clip_tokens),
        text_tokens=max(_text_tokens(checkpoint)),
    )


def _text_tokens(checkpoint: ModelSpec) -> Iterator[int]:
    for form in checkpoint.form.values():
        free = sum(rules.max_tokens for name, rules in checkpoint.free.items() if f"{{{name}}}" in form.answer)
        written = max(len(form.question_image), len(form.question_video)) + len(form.answer)
        yield free + written // _BYTES_PER_TOKEN


def available_memory_bytes(cgroup: Path = _CGROUP, meminfo: Path = Path("/proc/meminfo")) -> int:
    """What a program can still take: the kernel's estimate, or what the container's limit leaves if that is less."""
    lines = dict(line.split(":", 1) for line in meminfo.read_text().splitlines())
    return min(int(lines["MemAvailable"].split()[0]) << 10, _left_in_container(cgroup))


def _left_in_container(cgroup: Path) -> int:
    """Under cgroup v2 or v1; page cache that can be dropped counts as free."""
    for limit, used, cache in (
        ("memory.max", "memory.current", "inactive_file"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "total_inactive_file"),
    ):
        if (cgroup / limit).is_file() and (text := (cgroup / limit).read_text().strip()) != "max":
            stat = (cgroup / limit).with_name("memory.stat").read_text().split()
            droppable = int(dict(zip(stat[::2], stat[1::2], strict=True)).get(cache, 0))
            return int(text) - int((cgroup / used).read_text()) + droppable
    return _UNLIMITED
