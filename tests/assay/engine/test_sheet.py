import pytest
import torch

from assay.engine.runner import Feed
from assay.engine.sheet import KEEP, PLACE, POSITIONS, SEAT, SEES, SLOT, TOKEN, Bucket, sheet


def _chain(keep: int, count: int) -> Feed:
    return Feed(keep, tuple(range(100, 100 + count)))


@pytest.mark.parametrize(
    ("feeds", "bucket"),
    [
        ([(0, 1)], Bucket(rows=8, sequences=1, longest=4, places=512)),
        ([(510, 3)], Bucket(rows=8, sequences=1, longest=4, places=1024)),
        ([(1100, 17), (40, 2), (40, 1)], Bucket(rows=32, sequences=4, longest=64, places=2048)),
        ([(40, 5)] * 8, Bucket(rows=64, sequences=8, longest=16, places=512)),
    ],
)
def test_feeds_are_rounded_up_to_few_shapes(feeds: list[tuple[int, int]], bucket: Bucket) -> None:
    assert Bucket.around([_chain(*each) for each in feeds]) == bucket


def test_a_sheet_says_for_every_row_what_it_is_and_where_it_goes() -> None:
    feeds = [_chain(10, 2), _chain(20, 1)]
    positions = [torch.tensor([[1, 2], [3, 4], [5, 6]]), torch.tensor([[7], [8], [9]])]
    bucket = Bucket.around(feeds)
    written = sheet(bucket, list(zip(feeds, positions, [1, 0], strict=True)), spare_place=2048)
    assert written.shape == (8, SEES + 4)
    assert written[:3, TOKEN].tolist() == [100, 101, 100]
    assert written[:3, POSITIONS].tolist() == [[1, 3, 5], [2, 4, 6], [7, 8, 9]]
    assert written[:3, SEAT].tolist() == [1, 1, 0]
    assert written[:3, PLACE].tolist() == [10, 11, 20]
    assert written[:3, SLOT].tolist() == [4, 5, 0]
    assert written[:3, KEEP].tolist() == [10, 10, 20]


def test_rows_that_fill_up_touch_nothing() -> None:
    feed = _chain(10, 3)
    written = sheet(Bucket.around([feed]), [(feed, torch.zeros(3, 3), 0)], spare_place=2048)
    assert written[3:, PLACE].tolist() == [2048] * 5
    assert written[3:, SLOT].tolist() == [4] * 5


def test_alternatives_do_not_see_one_another() -> None:
    # 0 - 1 - 2
    #   \ 3 - 4
    feed = Feed(10, (1, 2, 3, 4, 5), parents=(-1, 0, 1, 0, 3))
    written = sheet(Bucket.around([feed]), [(feed, torch.zeros(3, 5), 0)], spare_place=2048)
    assert written[:5, SEES : SEES + 5].tolist() == [
        [1, 0, 0, 0, 0],
        [1, 1, 0, 0, 0],
        [1, 1, 1, 0, 0],
        [1, 0, 0, 1, 0],
        [1, 0, 0, 1, 1],
    ]
