"""When the early score came, of all photos in one sentence."""

import pytest

from benchmarks.stack.early_score import Timing, summary, timed
from benchmarks.stack.spans import Span, stages


def test_the_summary_counts_those_that_came_before_the_first_grade() -> None:
    answers = [Timing(0.05, 0.1, 0.3, 0.5), Timing(0.05, 0.4, 0.3, 0.5)]
    assert summary(answers).startswith(
        "early score before the first grade in 1 of 2; at 50% of the request's time in the"
    )


def test_a_photo_says_when_each_event_came() -> None:
    words = "at 20%: started 50, early score 100, first grade 300, whole 500 ms"
    assert str(Timing(0.05, 0.1, 0.3, 0.5)) == words


async def test_an_answer_without_an_early_score_is_not_passed_over() -> None:
    class Nothing:
        async def events(self, _: bytes):  # type: ignore[no-untyped-def]
            return
            yield

    with pytest.raises(ValueError, match="no early score"):
        await timed(Nothing(), b"")  # type: ignore[arg-type]


def test_stages_are_medians_over_requests_behind_those_that_warm_up() -> None:
    def request(number: int, *lengths_ms: float) -> list[Span]:
        begun = number * 10**12
        ids = bytes([number]), b"", b""
        children = [
            Span("engine", "prefill", *ids, begun + place * 10**6, begun + round((place + length) * 1e6))
            for place, length in enumerate(lengths_ms)
        ]
        return [*children, Span("gateway", "call", *ids, begun, begun + 10**9)]

    spans = [*request(3, 5.0, 2.0), *request(1, 90.0, 90.0), *request(2, 7.0, 4.0)]
    assert stages(spans, "call", skipped=1).splitlines()[2:] == [
        "| engine | prefill | 1 | 0.0 | 6.0 |",
        "| gateway | call | 1 | 0.0 | 1000.0 |",
        "| engine | prefill | 2 | 1.0 | 4.0 |",
    ]
