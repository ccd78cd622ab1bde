"""`python -m tests.same_scores --before REV`: do two commits score alike, to the last bit, on this machine?

REV is checked out next to this one (git worktree); both judge the same photos and clips in every form of a
checkpoint, on a CPU, many in flight at once. Every event is compared (texts, probabilities, digits, token counts),
whatever its class is called. Exits with 1 if any differs. Photos are crops of demo/photo.jpg, so nothing has to be
downloaded.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import astuple
from pathlib import Path
from typing import get_args

ROOT = Path(__file__).parents[1]
SIDE_PX, CLIP_SIDE_PX, CLIP_FRAMES = 252, 196, 8


def main(argv: Sequence[str] | None = None) -> int:
    """Prints what differs; 0 if nothing does."""
    options = _options(argv)
    if options.judge:
        _judge(options)
        return 0
    with tempfile.TemporaryDirectory() as scratch, _checked_out(options.before, Path(scratch) / "before") as before:
        # Today's code reads what was written then; the other way round there may be settings that nobody knew.
        options.checkpoint = options.checkpoint or before / "checkpoints" / "nano"
        results = [_judged(tree, options) for tree in (before, ROOT)]
    old, new = results
    different = [name for name in {**old, **new} if old.get(name) != new.get(name)]
    for name in different[:10]:
        print(f"{name}\n  before {str(old.get(name))[:300]}\n  after  {str(new.get(name))[:300]}")
    print(f"{len(old)} answers before, {len(new)} after, {len(different)} differ ({_processor()})")
    return 1 if different or not old else 0


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.same_scores", description=__doc__)
    parser.add_argument("--before", default="HEAD", help="the commit to compare with")
    parser.add_argument("--photos", type=int, default=60)
    parser.add_argument("--clips", type=int, default=6)
    parser.add_argument("--checkpoint", type=Path, help="the same for both (default: nano as it was at --before)")
    parser.add_argument("--judge", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args(argv)


class _checked_out:  # noqa: N801 - a context manager, used as a function
    def __init__(self, commit: str, directory: Path) -> None:
        self._commit, self._directory = commit, directory

    def __enter__(self) -> Path:
        command = ["git", "-C", str(ROOT), "worktree", "add", "--quiet", "--detach", str(self._directory), self._commit]
        subprocess.run(command, check=True)
        return self._directory

    def __exit__(self, *error: object) -> None:
        command = ["git", "-C", str(ROOT), "worktree", "remove", "--force", str(self._directory)]
        subprocess.run(command, check=True)


def _judged(tree: Path, options: argparse.Namespace) -> dict[str, object]:
    """What the code in a tree answers, by form and picture."""
    command = [sys.executable, "-P", __file__, "--judge", "--checkpoint", str(options.checkpoint)]
    command += ["--photos", str(options.photos), "--clips", str(options.clips)]
    environment = {**os.environ, "PYTHONPATH": str(tree), "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, cwd=tree, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return dict(json.loads(line) for line in done.stdout.splitlines())


def _judge(options: argparse.Namespace) -> None:
    """Runs in a tree; imports are of that tree."""
    import assay.engine
    from assay.checkpoint import FormName, read_checkpoint
    from assay.generator import Conversation
    from assay.prompt import answer_form, question

    # Without -P the folder of this script, with tests/assay in it, would come first.
    assert Path(assay.__path__[0]).parent == Path.cwd(), f"imported {assay.__path__} in {Path.cwd()}"
    # The checkpoint's own numbers, which are the default of trees that have another setting for it.
    known = getattr(assay.engine, "EngineOptions", None)
    stored = [known(number_format="stored")] if "number_format" in getattr(known, "__dataclass_fields__", ()) else []
    engine, checkpoint = assay.engine.Engine.load(options.checkpoint, *stored), read_checkpoint(options.checkpoint)

    async def answer(name: str, clip: object, form_name: FormName) -> None:
        conversation = Conversation(question(checkpoint, form_name, is_video=clip.is_video))  # type: ignore[attr-defined]
        events = engine.generate(clip, conversation, answer_form(checkpoint, form_name))  # type: ignore[arg-type]
        print(json.dumps([f"{form_name} {name}", [repr(astuple(event)) async for event in events]]), flush=True)

    async def answer_all() -> None:
        for form_name in get_args(FormName):
            for first in range(0, len(clips), 30):
                await asyncio.gather(*(answer(*each, form_name) for each in clips[first : first + 30]))

    clips = list(_clips(options.photos, options.clips))
    asyncio.run(answer_all())
    engine.close()


def _clips(photos: int, clips: int) -> Iterator[tuple[str, object]]:
    import numpy as np
    from PIL import Image

    from assay.frame import Clip, Frame

    rng = np.random.default_rng(0)
    with Image.open(ROOT / "demo" / "photo.jpg") as opened:
        photo = opened.convert("RGB")

    def crop(side_px: int) -> "np.ndarray":  # type: ignore[type-arg]
        size = rng.uniform(0.3, 1.0) * min(photo.size)
        left, top = rng.uniform(0, photo.width - size), rng.uniform(0, photo.height - size)
        box = (left, top, left + size, top + size)
        return np.asarray(photo.resize((side_px, side_px), Image.Resampling.BICUBIC, box))

    for place in range(photos):
        yield f"photo {place}", Clip((Frame(crop(SIDE_PX), 0.0),), is_video=False)
    for place in range(clips):
        frames = tuple(Frame(crop(CLIP_SIDE_PX), 0.5 * time) for time in range(CLIP_FRAMES))
        yield f"clip {place}", Clip(frames, is_video=True)


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "unknown processor")


if __name__ == "__main__":
    sys.exit(main())
