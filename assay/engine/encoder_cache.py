"""EncoderCache: embeddings by hash of frame group and tenant, so that a live window pays for its new frames only.

With several answers in flight, groups go through the vision tower ahead of the forward that reads them, each on one
core: that is quicker than one group at a time on all cores with everybody waiting for it (benchmarks/LOG.md).
"""

from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from weakref import WeakValueDictionary

import torch
from torch import Tensor

from assay.engine.lru import LRU
from assay.engine.model.vision import Vision
from assay.qwen2_vl.patches import Patches

Pending = dict[bytes, Future[Tensor]]
"""Groups that are going through the tower, by key: (tokens of a group, width) each."""


class EncoderCache:
    """A vision tower with a cache. All of it is called from one thread."""

    def __init__(self, vision: Vision, max_bytes: int) -> None:
        self.vision, self.threads = vision, 1
        self.groups: LRU[bytes, Tensor] = LRU(max_bytes, lambda group: group.element_size() * group.numel())
        # They live as long as somebody waits for them.
        self._pending: WeakValueDictionary[bytes, Future[Tensor]] = WeakValueDictionary()
        self._workers: ThreadPoolExecutor | None = None

    @property
    def is_busy(self) -> bool:
        """True while groups go through the tower on other threads."""
        return any(not each.done() for each in self._pending.values())

    def encode_ahead(self, clip: Patches, keys: Sequence[bytes]) -> Pending:
        """Send the groups that are not cached through the tower, `threads` at once; returns at once."""
        if self._workers is None:
            self._workers = ThreadPoolExecutor(self.threads, "assay-encode", torch.set_num_threads, (1,))
        encode, pending = torch.inference_mode()(self.encode), Pending()
        for time, key in enumerate(keys):
            if key not in pending and self.groups.get(key) is None:
                pending[key] = self._pending.get(key) or self._workers.submit(encode, clip, time)
                self._pending[key] = pending[key]
        return pending

    def encode_now(self, clip: Patches, keys: Sequence[bytes]) -> tuple[Pending, bool]:
        """The groups that are not cached, as encode_ahead returns them, all through the tower; whether any went now."""
        pending, count = Pending(), 0
        for time, key in enumerate(keys):
            if key in pending or self.groups.get(key) is not None:
                continue
            if (group := self._pending.get(key)) is None:
                group, count = Future(), count + 1
                try:
                    group.set_result(self.encode(clip, time))
                    self._pending[key] = group
                except Exception as failure:  # noqa: BLE001 - it ends the request that reads this clip
                    group.set_exception(failure)
            pending[key] = group
        return pending, count > 0

    def count_missing(self, keys: Collection[bytes]) -> int:
        """How many of these groups are not cached."""
        return sum(self.groups.get(key) is None for key in set(keys))

    def wait(self) -> None:
        """Until one more group is through."""
        wait([each for each in self._pending.values() if not each.done()], return_when=FIRST_COMPLETED)

    def embeddings(self, clip: Patches, keys: tuple[bytes, ...], pending: Mapping[bytes, Future[Tensor]]) -> Tensor:
        """(clip tokens, width); a key for each group of frames, by their content. Pending ones are waited for."""
        found = {key: group for key in dict.fromkeys(keys) if (group := self.groups.get(key)) is not None}
        missing = [key for key in dict.fromkeys(keys) if key not in found]
        self.groups.hits += len(found)
        self.groups.misses += len(missing)
        for key in [key for key in missing if key in pending]:
            # Copied, so that nothing small stays for long in the middle of what another thread has for its large sums.
            found[key] = pending[key].result().clone()
            missing.remove(key)
            self.groups.put(key, found[key])
        # Each by itself: a group's last bits may depend on what goes through with it, and together is no quicker.
        for key in missing:
            found[key] = self.encode(clip, keys.index(key)).clone()
            self.groups.put(key, found[key])
        return torch.cat([found[key] for key in keys])

    def encode(self, clip: Patches, time: int) -> Tensor:
        """(tokens of a group, width): the group of frames at this place in time."""
        _, rows, columns = clip.grid_thw
        return self.vision.embed(torch.from_numpy(clip.group(time))[None], rows, columns)[0]
