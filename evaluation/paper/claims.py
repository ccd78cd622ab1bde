"""Claims: what the paper prints, quoted as its claim. Ours stands beside it and is never mixed with it.

All numbers are of RealQA (arXiv 2503.06141), with Qwen2-VL-7B-Instruct as the base.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Claim:
    """One row of a table of the paper."""

    data_set: str
    """Name in training.datasets, whose test split is scored."""
    trained_on: str
    """Name of the data set whose training split was learnt; another than `data_set` is a cross-set row."""
    srcc: float
    plcc: float | None = None
    """None where the paper prints no PLCC."""

    @property
    def is_cross(self) -> bool:
        return self.data_set != self.trained_on


GROUPS: Mapping[str, tuple[Claim, ...]] = {
    "Image quality (KonIQ-10k, across to SPAQ and LIVE Challenge)": (
        Claim("koniq", "koniq", 0.948, 0.959),
        Claim("spaq", "koniq", 0.904, 0.906),
        Claim("livec", "koniq", 0.885, 0.898),
    ),
    "Image aesthetics (AVA, across to TAD66K)": (
        Claim("ava", "ava", 0.828, 0.825),
        Claim("tad66k", "ava", 0.413, 0.444),
    ),
    "RealQA": (Claim("realqa", "realqa", 0.746, 0.802),),
    "Video zero-shot (KoNViD-1k by the prompt swap)": (Claim("konvid", "koniq", 0.669),),
}
"""Title of a table to its rows, in the paper's order."""

KONVID_BASE_SRCC = 0.305
"""KoNViD-1k with the base model, before any training."""


@dataclass(frozen=True, slots=True)
class Ablation:
    """One row of a table that needs a training run of its own."""

    table: str
    setting: str
    claimed: str
    """As printed: numbers with what they are of."""
    config: str
    """Command of `python -m training.paper`, and the settings to change with --set."""


_DIGITS = "Digits (SRCC, AVA / KonIQ)"
_HEAD = "Regression head (SRCC / PLCC, KonIQ)"
_ATTRIBUTES = "Attributes (mean SRCC / PLCC)"
_FROM_SCRATCH = "stage2, model.from_scratch=true"

ABLATIONS: tuple[Ablation, ...] = (
    Ablation(_DIGITS, "M=1", ".712 / .940", "stage2, stage2.digits=1"),
    Ablation(_DIGITS, "M=2", ".806 / .938", "stage2, stage2.digits=2"),
    Ablation(_DIGITS, "M=3", ".808 / .939", "stage2, stage2.digits=3"),
    Ablation(_HEAD, "head, 2 epochs", ".882 / .890", "regression, regression.epochs=2"),
    Ablation(_HEAD, "head, 6 epochs", ".908 / .923", "regression, regression.epochs=6"),
    Ablation(_HEAD, "next token, 2 epochs", ".939 / .949", 'stage2, stage2.tasks=["direct"], stage2.epochs=2'),
    Ablation(_ATTRIBUTES, "all, high to low", ".588 / .617", "stage1"),
    Ablation(_ATTRIBUTES, "Attributes only", ".541 / .571", 'stage1, stage1.granularities=["attributes"]'),
    Ablation(_ATTRIBUTES, "Levels", ".567 / .595", 'stage1, stage1.granularities=["levels"]'),
    Ablation(_ATTRIBUTES, "Mix", ".570 / .593", 'stage1, stage1.granularities=["mix"]'),
    Ablation(_ATTRIBUTES, "reversed order", ".564 / .592", 'stage1, stage1.order=["low", "middle", "high"]'),
    Ablation("NCM, first 100 to last 100 steps", "LoRA", "1.43 -> 0.24", "stage2"),
    Ablation("NCM, first 100 to last 100 steps", "from scratch", "2.16 -> 2.29", _FROM_SCRATCH),
    Ablation("NCM*, first 100 to last 100 steps", "LoRA", "1.96 -> 0.71", "stage2"),
    Ablation("NCM*, first 100 to last 100 steps", "from scratch", "3.19 -> 3.08", _FROM_SCRATCH),
    Ablation("Cross-entropy, first 100 to last 100 steps", "LoRA", "1.42 -> 0.38", "stage2"),
    Ablation("Cross-entropy, first 100 to last 100 steps", "from scratch", "5.91 -> 0.51", _FROM_SCRATCH),
)


@dataclass(frozen=True, slots=True)
class SortingClaim:
    """The sorting toy: 10 decimals in 1..10, 200 draws."""

    accuracy: float = 0.968
    recall: float = 0.998
    hallucination: float = 0.003


SORTING = SortingClaim()
