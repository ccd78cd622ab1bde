"""python -m tests.trace [FILE]: scores one file with the whole stack, and prints the spans of that request as a tree.

The collector is a server of OTLP here; the programs send to it as to any other. Exit code 1 if a program's span is
missing, or if more than 5 % of the request is in no stage.
"""

import asyncio
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.stack.spans import Span, collecting

ROOT = Path(__file__).parent.parent
PROGRAMS = {"gateway", "attribute_extraction", "scoring", "engine"}
_MAX_GAP = 0.05


def request_of(spans: Sequence[Span]) -> list[Span]:
    """The spans of the longest request."""
    by_trace = defaultdict(list)
    for span in spans:
        by_trace[span.trace_id].append(span)
    return max(by_trace.values(), key=lambda each: max(s.end_ns - s.start_ns for s in each))


def root_of(spans: Sequence[Span]) -> Span:
    """The one that is below no other."""
    ids = {span.span_id for span in spans}
    return next(span for span in spans if span.parent_id not in ids)


def gap_share(spans: Sequence[Span]) -> float:
    """The longest time in no stage, as a share of the root's."""
    root = root_of(spans)
    reached, longest = root.start_ns, 0
    for span in sorted((each for each in spans if each is not root), key=lambda each: each.start_ns):
        longest = max(longest, span.start_ns - reached)
        reached = max(reached, span.end_ns)
    return max(longest, root.end_ns - reached) / (root.end_ns - root.start_ns)


def tree(spans: Sequence[Span]) -> Iterator[str]:
    """A line per span, indented below its parent."""
    root, children = root_of(spans), defaultdict(list)
    for span in sorted(spans, key=lambda each: each.start_ns):
        children[span.parent_id].append(span)

    def lines(span: Span, depth: int) -> Iterator[str]:
        begin, length = (span.start_ns - root.start_ns) / 1e6, (span.end_ns - span.start_ns) / 1e6
        yield f"{begin:8.1f} {length:8.1f} ms  {'  ' * depth}{span.name}  [{span.program}]"
        for child in children[span.span_id]:
            yield from lines(child, depth + 1)

    yield from lines(root, 0)


async def _main(files: Sequence[str]) -> int:
    async with collecting() as collector:
        demo = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "assay.cli", "demo", *files, cwd=ROOT, stdout=asyncio.subprocess.DEVNULL
        )
        if code := await demo.wait():
            return code
    spans = request_of(collector.spans)
    print(*tree(spans), sep="\n")
    gap, missing = gap_share(spans), PROGRAMS - {span.program for span in spans}
    print(f"{len(spans)} spans; the longest time in no stage is {gap:.1%} of the request; missing: {missing or 'none'}")
    return int(bool(missing) or gap > _MAX_GAP)


if __name__ == "__main__":
    sys.exit(asyncio.run(_main(sys.argv[1:] or ["demo/video.mp4"])))
