"""Seen: the embeddings of frame groups, kept, so that a live window pays for its new frames only.

With several answers in flight, groups are seen beside whatever else is done, each on one core: that is quicker
than one group at a time on all cores with everybody waiting for it (benchmarks/LOG.md).
"""

from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from weakref import WeakValueDictionary

import torch
from torch import Tensor

from assay.engine.kept import Kept
from assay.engine.model.vision import Vision
from assay.qwen2_vl.patches import Patches

Ahead = dict[bytes, Future[Tensor]]
"""Groups that are being seen beside, by key: (tokens of a group, width) each."""


class Seen:
    """A vision tower that remembers. All of it is called from one thread."""

    def __init__(self, vision: Vision, most_bytes: int) -> None:
        self.vision, self.threads = vision, 1
        self.kept: Kept[bytes, Tensor] = Kept(most_bytes, lambda seen: seen.element_size() * seen.numel())
        # They live as long as somebody waits for them.
        self._beside: WeakValueDictionary[bytes, Future[Tensor]] = WeakValueDictionary()
        self._helpers: ThreadPoolExecutor | None = None

    @property
    def is_busy(self) -> bool:
        """True while groups are being seen beside."""
        return any(not each.done() for each in self._beside.values())

    def see_beside(self, clip: Patches, keys: Sequence[bytes]) -> Ahead:
        """Have the groups seen that were not yet, `threads` at once; returns at once."""
        if self._helpers is None:
            self._helpers = ThreadPoolExecutor(self.threads, "assay-look", torch.set_num_threads, (1,))
        look, ahead = torch.inference_mode()(self.look), Ahead()
        for time, key in enumerate(keys):
            if key not in ahead and self.kept.get(key) is None:
                ahead[key] = self._beside.get(key) or self._helpers.submit(look, clip, time)
                self._beside[key] = ahead[key]
        return ahead

    def count_missing(self, keys: Collection[bytes]) -> int:
        """How many of these groups are not kept."""
        return sum(self.kept.get(key) is None for key in set(keys))

    def wait(self) -> None:
        """Until one more has been seen."""
        wait([each for each in self._beside.values() if not each.done()], return_when=FIRST_COMPLETED)

    def embeddings(self, clip: Patches, keys: tuple[bytes, ...], ahead: Mapping[bytes, Future[Tensor]]) -> Tensor:
        """(clip tokens, width); a key for each group of frames, by what they show. Those ahead are waited for."""
        found = {key: kept for key in dict.fromkeys(keys) if (kept := self.kept.get(key)) is not None}
        missing = [key for key in dict.fromkeys(keys) if key not in found]
        self.kept.uses.found += len(found)
        self.kept.uses.missed += len(missing)
        for key in [key for key in missing if key in ahead]:
            # Copied, so that nothing small stays for long in the middle of what another thread has for its large sums.
            found[key] = ahead[key].result().clone()
            missing.remove(key)
            self.kept.put(key, found[key])
        # Each by itself: a group's last bits may hang on what is beside it, and together is no quicker.
        for key in missing:
            found[key] = self.look(clip, keys.index(key)).clone()
            self.kept.put(key, found[key])
        return torch.cat([found[key] for key in keys])

    def look(self, clip: Patches, time: int) -> Tensor:
        """(tokens of a group, width): the group of frames at this place in time."""
        _, rows, columns = clip.grid_thw
        return self.vision.look(torch.from_numpy(clip.group(time))[None], rows, columns)[0]
