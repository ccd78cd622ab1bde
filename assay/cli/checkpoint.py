"""`assay checkpoint`: what a directory holds, whether it can be served, and how one is made."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from assay.checkpoint import ModelSpec, read_checkpoint
from assay.cot import CotReader
from assay.errors import AssayError, CheckpointError
from assay.form import Literal
from assay.model_memory import BFLOAT16_BYTES, FLOAT32_BYTES, ModelMemory, check_stored, model_memory
from assay.prompt import answer_form, question
from assay.stack import checkout, checkout_module
from assay.weights import count_weights, fingerprint, read_json

_REQUESTS, _CACHE_BYTES = 8, 256 << 20
"""TRITON_SERVER_MAX_IN_FLIGHT and TRITON_SERVER_CACHE_MIB, where nothing is set."""


class NotPrepared(AssayError):
    """Something that is needed is not there."""

    grpc_status = "UNAVAILABLE"
    reason = "NOT_PREPARED"


def prepare(**chosen: Any) -> int:
    """`assay checkpoint prepare`, by the recipe that also merges: the wheel holds no training/. NotPrepared without."""
    if not (checkout() / "training" / "__main__.py").is_file():
        raise NotPrepared("training/ is not here, which merges the adapter into the model; use a checkout of Assay")
    recipe = checkout_module("training.recipe.prepare")
    code: int = recipe.run_prepare(recipe.PrepareOptions(**chosen))
    return code


def show(directory: Path, verify: bool = False) -> None:
    """Prints line by line what was found; what cannot be served ends it with CheckpointError."""
    checkpoint = read_checkpoint(directory)
    for name, value in _said(checkpoint):
        print(f"{name:<15}{value}")
    check_servable(directory, checkpoint)
    count = count_weights(directory)
    print(f"{'parameters':<15}{count.parameters:,} ({', '.join(count.dtypes)}, {count.tensor_bytes / 1e9:.2f} GB)")
    print(f"{'checkpoint':<15}{fingerprint(directory, verify)}")
    print("can be served")


def show_memory(directory: Path) -> None:
    """Prints what serving takes, in float32 on a CPU and in bfloat16 on a GPU, with the servers' default limits."""
    checkpoint = read_checkpoint(directory)
    memories = [
        model_memory(directory, checkpoint, number_bytes=number, requests=_REQUESTS, cache_bytes=cache)
        for number, cache in ((FLOAT32_BYTES, _CACHE_BYTES), (BFLOAT16_BYTES, 0))
    ]
    print(f"\n{'':<34}{'CPU, float32':>14}{'GPU, bfloat16':>15}")
    columns = [_memory_lines(memory) for memory in memories]
    for name, value in columns[0].items():
        print(f"{name:<34}{value:>14.2f}{columns[1][name]:>15.2f}")
    for name, tokens in (
        ("tokens of the largest picture", memories[0].picture_tokens),
        ("tokens of the longest clip", memories[0].clip_tokens),
        ("tokens of a minute of video", memories[0].video_minute_tokens),
        ("tokens of question and answer", memories[0].text_tokens),
    ):
        print(f"{name:<34}{tokens:>14,}")


def _memory_lines(memory: ModelMemory) -> dict[str, float]:
    gib = 2**30
    return {
        "weights, GiB": memory.weights / gib,
        "KV cache, KiB a token": memory.kv_per_token / 1024,
        f"KV cache of {memory.requests} requests, GiB": memory.kv / gib,
        "vision activations, GiB": memory.vision_activations / gib,
        "prefix and encoder caches, GiB": memory.cache / gib,
        "in all, with libraries, GiB": memory.total / gib,
    }


def check_servable(directory: Path, checkpoint: ModelSpec) -> None:
    """What the programs refuse at their start, found without a model in memory. CheckpointError names it."""
    check_stored(directory)
    for form_name in ("direct", *checkpoint.form):
        answer_form(checkpoint, form_name)
    try:
        CotReader(checkpoint.reading)
    except ValueError as wrong:
        raise CheckpointError(f"{directory / 'assay.toml'}: {wrong}") from wrong
    _compare_pixels(directory, checkpoint)


def _compare_pixels(directory: Path, checkpoint: ModelSpec) -> None:
    config, pixels = read_json(directory / "preprocessor_config.json"), checkpoint.pixels
    said = {
        "image_mean": list(pixels.mean),
        "image_std": list(pixels.std),
        "patch_size": pixels.patch_px,
        "temporal_patch_size": pixels.temporal_patch,
        "merge_size": pixels.merge,
    }
    for key, expected in said.items():
        if config.get(key, expected) != expected:
            raise CheckpointError(f"preprocessor_config.json: {key} is {config[key]}, assay.toml says {expected}")


def _said(checkpoint: ModelSpec) -> Iterator[tuple[str, str]]:
    """Name and value of every line about assay.toml."""
    pixels, clip, score = checkpoint.pixels, checkpoint.clip, checkpoint.score
    yield "name", checkpoint.name + (f", variant {checkpoint.variant}" if checkpoint.variant else "")
    yield "summary", checkpoint.summary
    yield "preprocessing", checkpoint.preprocessing_fingerprint
    yield "image", f"{pixels.min_pixels:,} to {pixels.max_pixels:,} px, {pixels.resample}"
    yield "video frame", f"{pixels.video_min_pixels:,} to {pixels.video_max_pixels:,} px"
    if first := pixels.shrink_first:
        yield "shrunk first", f"to {first.max_pixels:,} px, video {first.video_max_pixels:,} px, {first.resample}"
    if pixels.enlarge_first_pixels:
        yield "enlarged first", f"an image to {pixels.enlarge_first_pixels:,} px where it is smaller"
    if pixels.leave_out_borders:
        yield "borders", "white and black bars around an image are left out"
    yield "clip", f"{clip.max_frames} frames or {clip.seconds:g} s, {clip.frames_per_second:g} frames a second"
    yield "score", f"{score.minimum:g} to {score.maximum:g}, {score.expectation}, direct weight {score.direct_weight:g}"
    for form_name in checkpoint.form:
        names = [each.name for each in answer_form(checkpoint, form_name) if not isinstance(each, Literal)]
        yield f"form {form_name}", f'"{question(checkpoint, form_name, is_video=False)}"'
        yield "", ", ".join(names)
