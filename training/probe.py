"""Where is correlation lost: in the tower, or behind it?

`python -m training.probe --data ../shared/data --runs runs/nano --state words.pt` asks the linear head that trains
along with the words (its score, and its guess of the teacher's judgement) about held-out photos, and the teacher.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import spearmanr

from assay.checkpoint import ModelSpec, read_checkpoint
from training import photos, rated
from training.framing import served
from training.head import Head
from training.loop import quicker_dtype
from training.photos import Photo
from training.tower import dense_tower, new_tower, normalised

Numbers = NDArray[np.float64]


@torch.inference_mode()
def asked(tower: torch.nn.Module, head: Head, held_out: Sequence[Photo], checkpoint: ModelSpec) -> Numbers:
    """(photos, 3): the head's score, and its two guesses of the teacher's judgement."""
    dtype, found = quicker_dtype(torch.device("cpu")), []
    for photo in held_out:
        pixels = torch.from_numpy(served(photo.decode(), checkpoint.pixels))[None]
        with torch.autocast("cpu", dtype, enabled=dtype is not torch.float32):
            tokens = dense_tower(tower, normalised(pixels))  # type: ignore[arg-type]  # a tower, typed as any module
        output = head(tokens.float())
        found.append([*output.labels[0, :1].tolist(), *output.judged[0].tolist()])
    return np.array(found)


def srcc(ours: Numbers, theirs: Numbers) -> float:
    return float(spearmanr(ours, theirs).statistic)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--runs", type=Path, default=Path("runs/nano"))
    parser.add_argument("--state", default="state.pt", help="file in the runs: eyes.pt or state.pt")
    parser.add_argument("--forms", type=Path, default=Path("training/configs"), help="folder of the assay.toml")
    parser.add_argument("--limit", type=int, default=150, help="photos of each collection")
    options = parser.parse_args()
    torch.set_num_threads(1)
    state = torch.load(options.runs / options.state, weights_only=True)
    prefix = "" if "tower" in state else "model.visual."
    weights = {
        name.removeprefix(prefix): w for name, w in state.get("tower", state.get("model")).items() if prefix in name
    }
    width = len(weights["merger.mlp.2.bias"])
    tower = new_tower(sum(name.endswith("norm1.weight") for name in weights), width)
    tower.load_state_dict(weights)
    head = Head(width)
    head.load_state_dict(state["head"])
    photo_set, checkpoint = rated.gallery(options.data, options.runs), read_checkpoint(options.forms)
    every = [*photos.para_photos(options.data), *photos.native_photos(options.data), *photos.open_photos(options.data)]
    print(f"step {state['step']}")
    for source in ("rated", "native", "open"):
        rows = [row for row, photo in enumerate(every) if photo.source == source and photo.is_held_out][: options.limit]
        chosen = [every[row] for row in rows]
        found = asked(tower, head, chosen, checkpoint)
        judged = photo_set.judge(photo_set.features[rows])
        guess = srcc(found[:, 1], judged[:, 0])
        said = [f"teacher {srcc(found[:, 0], judged[:, 0]):.3f} (its guess of the teacher {guess:.3f})"]
        for name, column in (("mos", 0), ("quality", 1)) if source != "open" else ():
            people = np.array([getattr(photo, name) for photo in chosen])
            said.append(f"{name} {srcc(found[:, 0], people):.3f} (the teacher {srcc(judged[:, column], people):.3f})")
        print(f"{source}, {len(rows)} held out: SRCC of the head's score with {', '.join(said)}", flush=True)


if __name__ == "__main__":
    main()
