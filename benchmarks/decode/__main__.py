"""`python -m benchmarks.decode`: processor time per frame of our decode path, torchcodec and OpenCV, on the same clips.

Two works per clip: two frames in a second brought to the size of the model, and every frame. Every decoder has one
thread; they take turns, the first round warms up, the table has medians and how far each is from ours. Ours is the
pool that serves, in its locked process and with everything that it checks; for samples as dense as these it decodes
every frame, to count the damaged ones. "ours, exact" is the same for requests with `key_frames = exact`: no more is
decoded than the samples need, as with torchcodec. The peers get an environment of their own below --environment, the
first time; torchcodec runs on the FFmpeg inside PyAV, the same as ours. A short run:

    python -m benchmarks.decode --rounds 3 --sizes 1080p
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path
from statistics import median

from benchmarks.decode.clips import ENCODERS, FRAMES_PER_SECOND, SIZES, EncodedClip, clip

NAMES = ("ours", "ours, exact", "torchcodec", "opencv")
WORKS = {"2 frames/s": FRAMES_PER_SECOND // 2, "every frame": 1}
"""Of so many frames one is wanted."""
HEIGHT_PX, WIDTH_PX = 336, 588
"""What a model of at most 448 x 448 pixels gets of a 16:9 picture."""
# This torchcodec is built without CUDA, and speaks the stable ABI of newer torches.
REQUIREMENTS = ("torchcodec==0.12.0", "opencv-python-headless>=4.11,<4.12")
Cell = tuple[str, str, str, str]
"""Size, codec, work, decoder."""


@dataclass(frozen=True, slots=True)
class DecodeCost:
    """Of one clip by one decoder in one round."""

    cpu_ms_per_frame: float
    """Per frame of the file, wanted or not."""
    failed: str = ""


class Peer:
    """A decoder's process; close it."""

    def __init__(self, name: str, environment: Path) -> None:
        self.name = name
        self._process = subprocess.Popen(
            ["env", "OMP_NUM_THREADS=1", "OMP_WAIT_POLICY=PASSIVE", *_command(name, environment)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._hear()

    def decode(self, clip: EncodedClip, every: int, height_px: int = HEIGHT_PX, width_px: int = WIDTH_PX) -> DecodeCost:
        asked = {"path": str(clip.path), "every": every, "frames_per_second": FRAMES_PER_SECOND, "frames": clip.frames}
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({**asked, "height_px": height_px, "width_px": width_px}) + "\n")
        self._process.stdin.flush()
        answer = self._hear()
        wanted = -(-clip.frames // every)
        if "failed" not in answer and answer["frames"] != wanted:
            answer = {"failed": f"{answer['frames']} of {wanted} frames came out"}
        if "failed" in answer:
            return DecodeCost(float("nan"), str(answer["failed"]))
        return DecodeCost(1e3 * float(answer["cpu_seconds"]) / clip.frames)

    def close(self) -> None:
        """It ends when nobody talks to it any more."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(20)

    def _hear(self) -> dict[str, float | str]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name} has ended with exit status {self._process.wait(20)}")
        heard: dict[str, float | str] = json.loads(line)
        return heard


def _command(name: str, environment: Path) -> list[str]:
    if name.startswith("ours"):
        return [sys.executable, "-m", "benchmarks.decode.peer", name]
    libraries = f"LD_LIBRARY_PATH={_environment(environment)}"
    return [libraries, str(environment / "bin" / "python"), str(Path(__file__).with_name("peer.py")), name]


def _environment(environment: Path) -> str:
    """Make the peers' environment if it is not there; the folders where they find FFmpeg."""
    theirs = Path(str(distribution("av").locate_file("av.libs"))).resolve()
    links = environment.resolve() / "ffmpeg"
    if not (environment / ".complete").exists():
        print(f"installing {', '.join(REQUIREMENTS)} into {environment}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
        # Torch and numpy are those of our environment.
        (ours,) = (environment / "lib").glob("python*/site-packages")
        (ours / "assay.pth").write_text(f"{theirs.parent}\n")
        pip = [str(environment / "bin" / "python"), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
        subprocess.run([*pip, "--no-deps", *REQUIREMENTS], check=True)
        links.mkdir(exist_ok=True)
        for library in [*theirs.glob("libav*-*.so.*"), *theirs.glob("libsw*-*.so.*")]:
            name, version = library.name.split("-", 1)[0], library.name.split(".so.", 1)[1].split(".")[0]
            (links / f"{name}.so.{version}").symlink_to(library)
        (environment / ".complete").touch()
    return f"{links}:{theirs}"


def main(argv: Sequence[str] | None = None) -> int:
    """Measures and prints; 1 if no peer could be measured."""
    options = _options(argv)
    peers = list(_started(options))
    found: dict[Cell, list[DecodeCost]] = {}
    try:
        for size in options.sizes:
            for codec in options.codecs:
                made = clip(options.clips, codec, size)
                for turn in range(-1, options.rounds):
                    for cell, measured in _round(made, peers, turn):
                        if turn >= 0:  # the first round warms up
                            found.setdefault(cell, []).append(measured)
                done = {cell: rounds for cell, rounds in found.items() if cell[:2] == (size, codec)}
                print(f"{options.rounds} rounds:\n{table(done)}", file=sys.stderr, flush=True)
    finally:
        for peer in peers:
            peer.close()
    print(table(found))
    return 0 if any(not peer.name.startswith("ours") for peer in peers) else 1


def _round(made: EncodedClip, peers: Sequence[Peer], turn: int) -> Iterator[tuple[Cell, DecodeCost]]:
    for work, every in WORKS.items():
        # Who comes first changes from round to round.
        for peer in [*peers[turn % len(peers) :], *peers[: turn % len(peers)]]:
            yield (made.size, made.codec, work, peer.name), peer.decode(made, every)


def _started(options: argparse.Namespace) -> Iterator[Peer]:
    for name in options.decoders:
        try:
            yield Peer(name, options.environment)
        except (RuntimeError, OSError, subprocess.CalledProcessError) as why:
            print(f"left out: {name}: {why}", file=sys.stderr)


def table(found: dict[Cell, list[DecodeCost]]) -> str:
    """Markdown: medians in processor milliseconds per frame of the file, and ratios to ours of the same rounds."""
    names = list(dict.fromkeys(cell[3] for cell in found))
    head = "".join(f" {name} |" if name == "ours" else f" {name} | x ours |" for name in names)
    lines = [f"| size | codec | frames wanted |{head}", f"|---|---|---|{'---|' * (2 * len(names) - ('ours' in names))}"]
    for size, codec, work in dict.fromkeys(cell[:3] for cell in found):
        row = f"| {size} | {codec} | {work} |"
        ours = found.get((size, codec, work, "ours"), [])
        for name in names:
            row += _cells(found[size, codec, work, name], ours, name)
        lines.append(row)
    return "\n".join(lines)


def _cells(rounds: Sequence[DecodeCost], ours: Sequence[DecodeCost], name: str) -> str:
    failed = next((each.failed for each in rounds if each.failed), "")
    shown = f" {failed} |" if failed else f" {median(each.cpu_ms_per_frame for each in rounds):.2f} |"
    if name == "ours":
        return shown
    if failed or not ours or any(each.failed for each in ours):
        return f"{shown} |"
    pairs = zip(rounds, ours, strict=True)
    return f"{shown} {median(one.cpu_ms_per_frame / our.cpu_ms_per_frame for one, our in pairs):.2f} |"


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.decode", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--decoders", nargs="+", choices=NAMES, default=NAMES, metavar="NAME", help=str(NAMES))
    parser.add_argument(
        "--sizes", nargs="+", choices=SIZES, default=tuple(SIZES), metavar="SIZE", help=str(tuple(SIZES))
    )
    codecs = tuple(ENCODERS)
    parser.add_argument("--codecs", nargs="+", choices=codecs, default=codecs, metavar="CODEC", help=str(codecs))
    parser.add_argument("--rounds", type=int, default=7, help="that are counted (default 7)")
    runs = Path("runs/decode")
    parser.add_argument("--clips", type=Path, default=runs / "clips", metavar="DIR", help="where clips are stored")
    parser.add_argument("--environment", type=Path, default=runs / "env", metavar="DIR", help="of the peers")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
