"""`assay checkpoint show`: what a directory holds, and whether it can be served."""

from collections.abc import Iterator
from pathlib import Path

from assay.checkpoint import Checkpoint, read_checkpoint
from assay.cot import CotReader
from assay.errors import CheckpointError
from assay.form import Literal
from assay.prompt import answer_form, question
from assay.weights import check_config, check_files, count_weights, fingerprint, read_json


def show(directory: Path) -> None:
    """Prints line by line what was found; what cannot be served ends it with CheckpointError."""
    checkpoint = read_checkpoint(directory)
    for name, value in _said(checkpoint):
        print(f"{name:<15}{value}")
    check_servable(directory, checkpoint)
    count = count_weights(directory)
    print(f"{'parameters':<15}{count.parameters:,} ({', '.join(count.dtypes)}, {count.tensor_bytes / 1e9:.2f} GB)")
    print(f"{'checkpoint':<15}{fingerprint(directory)}")
    print("can be served")


def check_servable(directory: Path, checkpoint: Checkpoint) -> None:
    """What the programs refuse at their start, found without a model in memory. CheckpointError names it.

    The weights' names and shapes are left to the engine, which compares them with the model.
    """
    check_files(directory)
    check_config(read_json(directory / "config.json"))
    for form_name in ("direct", *checkpoint.form):
        answer_form(checkpoint, form_name)
    try:
        CotReader(checkpoint.reading)
    except ValueError as wrong:
        raise CheckpointError(f"{directory / 'assay.toml'}: {wrong}") from wrong
    _compare_pixels(directory, checkpoint)


def _compare_pixels(directory: Path, checkpoint: Checkpoint) -> None:
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


def _said(checkpoint: Checkpoint) -> Iterator[tuple[str, str]]:
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
