"""`python -m benchmarks.stack.pixels --checkpoint checkpoints/nano`: what it costs to bring pixels to the model inline.

Clips of a size that no model takes are sent to Triton: the engine refuses them when it has all their bytes, so that the
processor time is that of the way there. Against clips of next to nothing it says what shared memory could save at most.
"""

import argparse
import asyncio
import sys
from pathlib import Path

import numpy as np

from assay.errors import InvalidRequest
from assay.form import Form, Literal
from assay.frame import Clip, Frame
from assay.generator import Conversation
from assay.stack import STAGES, Stack
from assay.triton import TritonGenerator
from benchmarks.stack.processor import cpu_seconds, cpu_since
from benchmarks.stack.running import running

_SIZES = {"next to nothing": (1, 28, 29), "a picture": (1, 252, 253), "8 frames": (8, 224, 225)}
_REQUESTS = 200


async def main(options: argparse.Namespace) -> int:
    async with running(Stack(checkpoint=options.checkpoint, logs=options.runs, stages=STAGES[:1])) as stack:
        generator = TritonGenerator(stack.address)
        print("| clip | bytes | CPU ms a request, all programs |\n|---|---|---|")
        for name, (frames, height_px, width_px) in _SIZES.items():
            pictures = np.zeros((frames, height_px, width_px, 3), np.uint8)
            clip = Clip(tuple(Frame(each, float(place)) for place, each in enumerate(pictures)), is_video=frames > 1)
            await _refused(generator, clip, 10)
            before = cpu_seconds()
            await _refused(generator, clip, _REQUESTS)
            print(f"| {name} | {pictures.nbytes:,} | {1e3 * sum(cpu_since(before).values()) / _REQUESTS:.2f} |")
        await generator.close()
    return 0


async def _refused(generator: TritonGenerator, clip: Clip, count: int) -> None:
    for _ in range(count):
        try:
            async for _ in generator.generate(clip, Conversation("How good is this?"), Form((Literal("."),))):
                raise AssertionError("a clip of that size cannot be answered")
        except InvalidRequest:
            continue


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.stack.pixels",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--runs", type=Path, default=Path("runs/stack"), metavar="DIR", help="for logs")
    sys.exit(asyncio.run(main(parser.parse_args())))
