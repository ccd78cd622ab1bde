"""Clips and their ladders: what is written can be read, and every step damages more than the one before."""

import io
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from evaluation.clip_ladder import CLIP_LADDERS, step, with_bad_second
from evaluation.clips import FRAMES_PER_SECOND, Picture, pan, read_clip, write_clip


@pytest.fixture(scope="module")
def clip() -> list[Picture]:
    """One and a half seconds of a texture that moves to the right, 160 x 96."""
    rng = np.random.default_rng(0)
    rough = Image.fromarray(rng.integers(40, 220, (24, 60), dtype=np.uint8)).convert("RGB")
    wide = np.asarray(rough.resize((240, 96), Image.Resampling.BICUBIC))
    return [np.ascontiguousarray(wide[:, place : place + 160]) for place in range(36)]


def observed(file: bytes, tmp_path: Path) -> list[Picture]:
    path = tmp_path / "clip.mp4"
    path.write_bytes(file)
    return read_clip(path, 10.0)


def detail(pictures: list[Picture]) -> float:
    return float(np.mean([np.abs(np.diff(picture.astype(np.float64), axis=1)).mean() for picture in pictures]))


def test_what_is_written_is_read_again(clip: list[Picture], tmp_path: Path) -> None:
    again = observed(write_clip(clip), tmp_path)
    assert np.abs(np.stack(again).astype(int) - np.stack(clip)).mean() < 6


def test_a_clip_is_cut_at_the_time_that_is_asked(clip: list[Picture], tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_bytes(write_clip(clip))
    assert len(read_clip(tmp_path / "clip.mp4", 0.4)) == 10


def test_a_slow_video_shows_each_picture_until_the_next_is_due(clip: list[Picture], tmp_path: Path) -> None:
    """Ten pictures of 1/5 s are read as fifty of 1/25 s (the last has no end, and counts once)."""
    path = tmp_path / "slow.mkv"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=5)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 160, 96, "yuv420p"
        for picture in clip[:10]:
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        out.mux(stream.encode(None))
    assert len(read_clip(path, 10.0)) == 46


def test_a_file_that_is_no_video_says_so(tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(OSError, match="no video that can be decoded"):
        read_clip(tmp_path / "text.mp4", 1.0)


def test_odd_sides_are_refused() -> None:
    with pytest.raises(ValueError, match="even sides"):
        write_clip([np.zeros((11, 10, 3), np.uint8)])


def test_a_pan_moves_and_has_the_length_that_is_asked(tmp_path: Path) -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (90, 120, 3), dtype=np.uint8)).save(tmp_path / "p.png")
    pictures = pan(tmp_path / "p.png", 0.2)
    assert (len(pictures), (pictures[0] != pictures[-1]).any()) == (5, True)


def test_a_higher_crf_makes_a_smaller_file(clip: list[Picture]) -> None:
    sizes = [len(step(clip, "crf", crf)) for crf in CLIP_LADDERS["crf"]]
    assert sizes == sorted(sizes, reverse=True)


def test_more_downscaling_leaves_less_detail(clip: list[Picture], tmp_path: Path) -> None:
    details = [detail(observed(step(clip, "downscaling", by), tmp_path)) for by in CLIP_LADDERS["downscaling"]]
    assert details == sorted(details, reverse=True)


def test_more_shake_moves_the_picture_further(clip: list[Picture], tmp_path: Path) -> None:
    still = [clip[0]] * 12
    moved = []
    for strength in CLIP_LADDERS["shake"][::2]:
        pictures = np.stack(observed(step(still, "shake", strength), tmp_path)).astype(np.float64)
        moved.append(np.abs(pictures - pictures.mean(axis=0)).mean())
    assert moved == sorted(moved)


def test_freezing_shows_each_picture_for_so_long(clip: list[Picture], tmp_path: Path) -> None:
    pictures = np.stack(observed(step(clip, "freezing", 0.4), tmp_path)).astype(int)
    changes = np.abs(np.diff(pictures, axis=0)).mean(axis=(1, 2, 3)) > 4
    assert list(np.flatnonzero(changes)) == [9, 19, 29]


@pytest.mark.parametrize("name", CLIP_LADDERS)
def test_every_step_shows_the_same_part_at_the_same_size(name: str, clip: list[Picture], tmp_path: Path) -> None:
    pictures = observed(step(clip, name, CLIP_LADDERS[name][0]), tmp_path)
    assert (len(pictures), pictures[0].shape) == (len(clip), observed(step(clip, "", 0.0), tmp_path)[0].shape)


def test_the_bad_second_is_dark_and_the_others_are_not(clip: list[Picture], tmp_path: Path) -> None:
    light = np.stack(observed(with_bad_second(clip, 0.4, 0.4), tmp_path)).mean(axis=(1, 2, 3))
    is_dark = light < light[0] * 0.7
    assert list(np.flatnonzero(is_dark)) == list(range(round(0.4 * FRAMES_PER_SECOND), round(0.8 * FRAMES_PER_SECOND)))


def test_the_file_is_an_mp4(clip: list[Picture]) -> None:
    with av.open(io.BytesIO(write_clip(clip))) as container:
        assert container.format.name.startswith("mov,mp4")
