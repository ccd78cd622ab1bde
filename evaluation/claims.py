"""Claims: what the paper prints, quoted as its claim. Ours stands next to it and is never mixed with it.

All numbers are of RealQA (arXiv 2503.06141), with Qwen2-VL-7B-Instruct as the base.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Claim:
    """One row of a table of the paper."""

    data_set: str
    """Name in data.published, whose test split is scored."""
    trained_on: str
    """Name of the data set whose training split was learnt; another than `data_set` is a cross-set row."""
    srcc: float
    plcc: float | None = None
    """None where the paper prints no PLCC."""


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


Measure = Literal["score", "grades", "ncm", "ncm_star_paper", "loss"]


@dataclass(frozen=True, slots=True)
class AblationClaim:
    """One row of a table that needs a training run of its own."""

    table: str
    setting: str
    claimed: str
    """As printed: numbers with what they are of."""
    run: str
    """Name in training/recipe/ablations.toml."""
    measure: Measure
    """score: SRCC / PLCC of the scores; grades: means over the nine attributes, against people's; the others from the
    log of the run, first to last 100 steps."""


_DIGITS = "Digits (SRCC, AVA / KonIQ)"
_HEAD = "Regression head (SRCC / PLCC, KonIQ)"
_ATTRIBUTES = "Attributes (mean SRCC / PLCC)"
_NCM, _STAR, _LOSS = (f"{name}, first 100 to last 100 steps" for name in ("NCM", "NCM*", "Cross-entropy"))

ABLATIONS: tuple[AblationClaim, ...] = (
    AblationClaim(_DIGITS, "M=1", ".712 / .940", "digits_1", "score"),
    AblationClaim(_DIGITS, "M=2", ".806 / .938", "digits_2", "score"),
    AblationClaim(_DIGITS, "M=3", ".808 / .939", "digits_3", "score"),
    AblationClaim(_HEAD, "head, 2 epochs", ".882 / .890", "head_2_epochs", "score"),
    AblationClaim(_HEAD, "head, 6 epochs", ".908 / .923", "head_6_epochs", "score"),
    AblationClaim(_HEAD, "next token, 2 epochs", ".939 / .949", "digits_3", "score"),
    AblationClaim(_ATTRIBUTES, "all, high to low", ".588 / .617", "all", "grades"),
    AblationClaim(_ATTRIBUTES, "Attributes only", ".541 / .571", "attributes_only", "grades"),
    AblationClaim(_ATTRIBUTES, "Levels", ".567 / .595", "levels_only", "grades"),
    AblationClaim(_ATTRIBUTES, "Mix", ".570 / .593", "mix_only", "grades"),
    AblationClaim(_ATTRIBUTES, "reversed order", ".564 / .592", "reversed_order", "grades"),
    AblationClaim(_NCM, "LoRA", "1.43 -> 0.24", "lora", "ncm"),
    AblationClaim(_NCM, "from scratch", "2.16 -> 2.29", "from_scratch", "ncm"),
    AblationClaim(_STAR, "LoRA", "1.96 -> 0.71", "lora", "ncm_star_paper"),
    AblationClaim(_STAR, "from scratch", "3.19 -> 3.08", "from_scratch", "ncm_star_paper"),
    AblationClaim(_LOSS, "LoRA", "1.42 -> 0.38", "lora", "loss"),
    AblationClaim(_LOSS, "from scratch", "5.91 -> 0.51", "from_scratch", "loss"),
)


@dataclass(frozen=True, slots=True)
class SortingClaim:
    """The sorting toy: 10 decimals in 1..10, 200 draws."""

    accuracy: float = 0.968
    recall: float = 0.998
    hallucination: float = 0.003


SORTING = SortingClaim()
