"""What is encoded ahead is what would have been encoded in its turn."""

from collections.abc import Callable

import pytest
import torch

from assay.decoding.token_tree import TokenTree
from assay.engine.encoder_cache import EncoderCache
from assay.engine.kv_cache import SequenceState
from assay.engine.model.loading import LoadedModel
from assay.engine.model.vision import VisionTower
from assay.engine.model_runner import ModelRunner
from assay.frame import Clip
from assay.qwen2_vl.patches import Patches
from assay.qwen2_vl.prompt_tokens import prompt_tokens
from tests.assay.decoding.test_sequence import RATE

MakeClip = Callable[..., Clip]


@torch.inference_mode()
def test_frames_encoded_ahead_are_those_encoded_in_their_turn(checkpoint: LoadedModel, make_clip: MakeClip) -> None:
    patches = checkpoint.layout.patches(make_clip(7, is_video=True))
    vision, keys = VisionTower(checkpoint.model.model.visual), patches.group_keys
    cache = EncoderCache(vision, 0)
    ahead = cache.embeddings(patches, keys, cache.encode_ahead(patches, keys))
    assert torch.equal(ahead, EncoderCache(vision, 0).embeddings(patches, keys, {}))


def test_two_that_wait_for_one_picture_have_it_encoded_once(checkpoint: LoadedModel, make_clip: MakeClip) -> None:
    patches, cache = (
        checkpoint.layout.patches(make_clip()),
        EncoderCache(VisionTower(checkpoint.model.model.visual), 1 << 20),
    )
    first, second = (cache.encode_ahead(patches, patches.group_keys) for _ in range(2))
    assert [*first.values()] == [*second.values()]


def test_what_was_encoded_and_nobody_waits_for_is_let_go(checkpoint: LoadedModel, make_clip: MakeClip) -> None:
    patches, cache = (
        checkpoint.layout.patches(make_clip()),
        EncoderCache(VisionTower(checkpoint.model.model.visual), 1 << 20),
    )
    (begun,) = cache.encode_ahead(patches, patches.group_keys).values()
    begun.result()
    again = cache.encode_ahead(patches, patches.group_keys)
    assert [*again.values()] == [begun]
    del begun, again
    assert not cache.is_busy
    assert not list(cache._pending)


def test_waiting_ends_when_something_has_been_encoded(checkpoint: LoadedModel, make_clip: MakeClip) -> None:
    patches, cache = (
        checkpoint.layout.patches(make_clip(9, is_video=True)),
        EncoderCache(VisionTower(checkpoint.model.model.visual), 0),
    )
    ahead = cache.encode_ahead(patches, patches.group_keys)
    while cache.is_busy:
        cache.wait()
    assert all(each.done() for each in ahead.values())


def test_a_picture_that_cannot_be_encoded_fails_where_it_is_read(checkpoint: LoadedModel, make_clip: MakeClip) -> None:
    whole, cache = checkpoint.layout.patches(make_clip()), EncoderCache(VisionTower(checkpoint.model.model.visual), 0)
    torn = Patches(whole.layout, whole.frames[:, :-1].copy())
    with pytest.raises(ValueError, match="reshape"):
        cache.embeddings(torn, torn.group_keys, cache.encode_ahead(torn, torn.group_keys))


@pytest.mark.usefixtures("two_threads")
def test_the_number_of_cores_changes_no_bit(checkpoint: LoadedModel, make_clip: MakeClip) -> None:
    prompt = prompt_tokens(make_clip(5, is_video=True), RATE, checkpoint.layout, checkpoint.text)
    spread, alone = ModelRunner(checkpoint.model), ModelRunner(checkpoint.model)
    spread.warm_up()
    feed = TokenTree(0, prompt.ids)
    mine = SequenceState(prompt)
    spread.begin(mine, feed, waiting=prompt.clip.group_keys)
    assert len(mine.pending) == 3
    assert torch.equal(spread.run([(mine, feed)])[0], alone.run([(SequenceState(prompt), feed)])[0])


@pytest.mark.usefixtures("two_threads")
def test_as_many_are_encoded_at_once_as_there_are_cores_whatever_was_read_before(
    checkpoint: LoadedModel, make_clip: MakeClip
) -> None:
    prompt = prompt_tokens(make_clip(5, is_video=True), RATE, checkpoint.layout, checkpoint.text)
    runner = ModelRunner(checkpoint.model)
    runner.warm_up()
    runner.run([(SequenceState(prompt), TokenTree(0, prompt.ids))])
    assert torch.get_num_threads() == 1, "the language model stays on one core"
    runner.encoder_cache.encode_ahead(prompt.clip, prompt.clip.group_keys)
    assert runner.encoder_cache._workers is not None
    assert runner.encoder_cache._workers._max_workers == 2
