from collections.abc import Callable

import pytest
import torch

from assay.engine.checkpoint import Checkpoint
from assay.engine.looking import Looking, cut
from assay.engine.seen import Seen
from assay.engine.vision import Vision
from assay.frame import Clip


@pytest.mark.parametrize(("frames", "height", "width"), [(1, 56, 84), (5, 112, 28)])
def test_frames_are_cut_on_the_device_as_on_the_host(
    checkpoint: Checkpoint, make_clip: Callable[..., Clip], frames: int, height: int, width: int
) -> None:
    clip = checkpoint.layout.patches(make_clip(frames, is_video=frames > 1, height=height, width=width))
    groups = clip.grid_thw[0]
    mine = cut(checkpoint.layout, torch.from_numpy(clip.frames).unflatten(0, (groups, -1)))  # type: ignore[no-untyped-call]
    assert torch.equal(mine.flatten(0, 1), torch.from_numpy(clip.pixel_values))


@torch.inference_mode()
def test_a_clip_that_is_seen_ahead_looks_the_same(checkpoint: Checkpoint, make_clip: Callable[..., Clip]) -> None:
    vision = Vision(checkpoint.model.model.visual)
    looking, seen = Looking(vision, 1 << 20), Seen(vision, 0)
    for seed in range(5):
        clip = checkpoint.layout.patches(make_clip(4, is_video=True, seed=seed))
        look = looking.begin(clip, clip.group_keys)
        looking.wait()
        assert look.done.is_done
        assert not looking.is_busy
        torch.testing.assert_close(look.embeddings, seen.embeddings(clip, clip.group_keys, {}), atol=1e-5, rtol=1e-5)
    assert looking.graphs.replays > 0
    assert looking.kept.uses.missed == 10
