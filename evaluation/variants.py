"""Variants of a checkpoint: the same weights under another assay.toml; and the levers of a zero-shot video score.

Budgets and prompts are the checkpoint's own data and no request can change them; so a setting to be tried is a
checkpoint directory of its own, whose other files are links.

Levers are what the authors left unsaid about scoring a video with a model that learnt from pictures. The paper says
only that "image" becomes "video" in the prompt. Its training framework's own defaults, which no published
configuration changes, are 128 x 128 px a frame, 2 frames per second, at most 64 frames, one clip: `AUTHORS`. (Its
image processor may have enlarged the frames again; checkpoints/realqa-7b/assay.toml has that as a variant.)
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from assay.checkpoint import ModelSpec, read_checkpoint

SETTINGS = "assay.toml"


def write_variant(checkpoint: Path, directory: Path, changes: Mapping[str, Any]) -> ModelSpec:
    """Makes `directory` a checkpoint that differs in its settings alone; raises as write_settings does."""
    changed = write_settings(checkpoint, directory, changes)
    link_files(checkpoint, directory)
    return changed


def link_files(checkpoint: Path, directory: Path) -> None:
    """Everything but the settings: weights, tokeniser, configuration. OSError."""
    for path in checkpoint.iterdir():
        if path.name != SETTINGS and path.is_file():
            (directory / path.name).symlink_to(path.resolve())


def write_settings(checkpoint: Path, directory: Path, changes: Mapping[str, Any]) -> ModelSpec:
    """Writes `directory`/assay.toml: that of `checkpoint` with changes by dotted key ("clip.max_frames").

    Returns what it now says. KeyError for a key that the settings do not have, CheckpointError for a bad value.
    """
    # What is read has its variant laid over it already, so its name would point nowhere.
    settings = read_checkpoint(checkpoint).model_dump(mode="json", exclude_none=True, exclude={"variant"})
    for key, value in changes.items():
        _put(settings, key.split("."), value)
    directory.mkdir(parents=True, exist_ok=True)
    (directory / SETTINGS).write_text("\n".join(toml_lines(settings)) + "\n", encoding="utf-8")
    return read_checkpoint(directory)


def _put(settings: dict[str, Any], keys: list[str], value: Any) -> None:
    *path, last = keys
    for key in path:
        settings = settings[key]
    if last not in settings:
        raise KeyError(f"no {last!r} in assay.toml; there is {', '.join(settings)}")
    settings[last] = value


def toml_lines(table: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[str]:
    """A TOML document: plain values first, then a section for each table."""
    for key, value in table.items():
        if not isinstance(value, Mapping):
            yield f"{_quoted(key)} = {_quoted(value)}"
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield f"[{'.'.join(map(_quoted, (*path, key)))}]"
            yield from toml_lines(value, (*path, key))


def _quoted(value: Any) -> str:
    # JSON's strings, numbers, booleans and arrays are TOML's, as long as characters beyond ASCII stay as they are.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


VIDEO, FRAMES = "video", "frames"
WHOLE_SECONDS = 1200.0
"""Longer than any video that the gateway takes: the whole video is one clip."""


@dataclass(frozen=True, slots=True)
class Levers:
    """One setting. Everything but `modality` is a change of the checkpoint's assay.toml."""

    frame_pixels: int
    """Greatest area of a frame, in pixels; what is smaller stays as it is."""
    frames_per_second: float
    max_frames: int = 64
    """Most frames of a clip."""
    clip_seconds: float = WHOLE_SECONDS
    modality: str = VIDEO
    """`video`: a clip is asked about as a video. `frames`: every sampled frame is asked about as a picture."""
    wording: str = VIDEO
    """Whether the question says "video" (the paper's prompt swap) or still "image"."""

    def __post_init__(self) -> None:
        for name in ("modality", "wording"):
            allowed = {"modality": (VIDEO, FRAMES), "wording": (VIDEO, "image")}[name]
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} is one of {', '.join(allowed)}, got {getattr(self, name)!r}")

    def __str__(self) -> str:
        clip = "whole" if self.clip_seconds >= WHOLE_SECONDS else f"{self.clip_seconds:g} s"
        clips = f", {clip} clips of <= {self.max_frames}" if self.modality == VIDEO else ""
        return f"{self.modality}, {self.frame_pixels} px, {self.frames_per_second:g} fps{clips}, says {self.wording}"

    def changes(self, checkpoint: ModelSpec) -> dict[str, Any]:
        """Dotted keys of assay.toml to their values in this setting."""
        # A least area of one merged patch: nothing is enlarged, or the size of a frame would not be what it says.
        least = checkpoint.pixels.factor_px**2
        changed: dict[str, Any] = {
            "pixels.video_max_pixels": self.frame_pixels,
            "pixels.video_min_pixels": least,
            "clip.frames_per_second": self.frames_per_second,
            "clip.max_frames": self.max_frames,
            "clip.seconds": self.clip_seconds,
        }
        if self.modality == FRAMES:
            changed |= {"pixels.max_pixels": self.frame_pixels, "pixels.min_pixels": least}
        if checkpoint.pixels.shrink_first:
            changed |= {f"pixels.shrink_first.{key}": self.frame_pixels for key in ("max_pixels", "video_max_pixels")}
        asked = "question_image" if self.modality == FRAMES else "question_video"
        for name, template in checkpoint.form.items():
            changed[f"form.{name}.{asked}"] = _said(template.question_image, self.wording)
        return changed


def _said(question: str, wording: str) -> str:
    """The paper's prompt swap."""
    return question.replace("image", "video") if wording == VIDEO else question


AUTHORS = Levers(128 * 128, 2.0)


def grid(
    frame_pixels: Sequence[int],
    frames_per_second: Sequence[float],
    max_frames: Sequence[int],
    clip_seconds: Sequence[float],
    modalities: Sequence[str],
    wordings: Sequence[str],
) -> Iterator[Levers]:
    """The authors' setting first, then every combination once; frames have no clips, so theirs do not vary."""
    listed = {AUTHORS}
    yield AUTHORS
    for pixels, fps, frames, seconds, modality, wording in product(
        frame_pixels, frames_per_second, max_frames, clip_seconds, modalities, wordings
    ):
        clip = (frames, seconds) if modality == VIDEO else (64, WHOLE_SECONDS)
        levers = Levers(pixels, fps, *clip, modality, wording)
        if levers not in listed:
            listed.add(levers)
            yield levers
