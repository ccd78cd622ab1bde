"""`make media`: every file of the corpus through the worker that serves, against what came out when somebody report.

Encoders and scalers round differently on different processors, so a picture is remembered as the mean colours of 4 x 4
fields, and may differ by 3 levels of 255; size, times and refusals have to be the same, but for how many frames are
damaged: an encoder's bytes differ, and so does what stands where a file is damaged.
"""

import argparse
import asyncio
import json
import re
import sys
from pathlib import Path

import numpy as np

from assay.errors import AssayError
from gateway.decode.jobs import DecodePool
from tests.gateway.decode.upload import PICTURE, VIDEO, decode
from tests.media.corpus import CORPUS, content

GOLDEN = Path(__file__).with_name("golden.json")
MOST_LEVELS = 3
_FIELDS = 4
_DAMAGED = re.compile(r"\d+( of \d+)?(?= (damaged frames|frames are damaged))")


def fields(pixels):
    """(height, width, 3) -> the mean colours of 4 x 4 fields, as hexadecimal."""
    rows = np.array_split(pixels, _FIELDS, axis=0)
    means = [field.mean(axis=(0, 1)) for row in rows for field in np.array_split(row, _FIELDS, axis=1)]
    return np.round(means).astype(np.uint8).tobytes().hex()


async def observed(pool, name):
    """What is remembered of a file."""
    try:
        decoded = await decode(pool, content(name), VIDEO if CORPUS[name] else PICTURE)
    except AssayError as refusal:
        return {"refused": f"{refusal.grpc_status} {refusal.message}"}
    info, first, last = decoded.info, decoded.frames[0], decoded.frames[-1]
    return {
        "codec": f"{info.container} {info.codec}",
        "shown": [info.width_px, info.height_px],
        "scaled": [first.width_px, first.height_px],
        "times": decoded.times,
        "first": fields(first.pixels),
        "last": fields(last.pixels),
        "warnings": list(decoded.summary.warnings),
    }


def difference(then, now):
    """What is different, in words; empty if nothing is."""
    for name in sorted(then.keys() | now.keys()):
        before, after = then.get(name), now.get(name)
        if name in ("first", "last") and before and after:
            levels = np.abs(
                np.frombuffer(bytes.fromhex(before), np.uint8).astype(int)
                - np.frombuffer(bytes.fromhex(after), np.uint8)
            ).max()
            if levels > MOST_LEVELS:
                return f"the {name} frame differs by {levels} levels"
        elif _DAMAGED.sub("some", str(before)) != _DAMAGED.sub("some", str(after)):
            return f"{name}: {before} before, {after} now"
    return ""


async def main(update):
    golden = json.loads(GOLDEN.read_text()) if GOLDEN.exists() else {}
    now, different = {}, []
    async with DecodePool(workers=1, spares=0) as pool:
        for name in CORPUS:
            now[name] = await observed(pool, name)
            changed = difference(golden.get(name, {}), now[name])
            different += [name] if changed else []
            print(f"{name:36} {changed or 'as before'}", flush=True)
    if update:
        GOLDEN.write_text("{\n" + ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in now.items()) + "\n}\n")
    elif different:
        sys.exit(f"{len(different)} of {len(now)} files look different: {', '.join(different)}")
    print(f"{len(now)} files")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--update", action="store_true", help="remember what comes out now; look at it first")
    asyncio.run(main(parser.parse_args().update))
