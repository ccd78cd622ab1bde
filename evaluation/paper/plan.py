"""Plan: where the miniature keeps what, and how much of everything it does."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Plan:
    """Where things are and how much is done."""

    out: Path
    weights: Path
    """A tiny Qwen2-VL to start from."""
    steps: int
    files: int
    """Of koniq to label, and of each test split to score."""
    draws: int

    @property
    def base(self) -> Path:
        """The weights under the paper's prompts."""
        return self.out / "base"

    @property
    def merged(self) -> Path:
        """The checkpoint that is served."""
        return self.out / "merged"

    @property
    def ablations(self) -> Path:
        """A directory for each training run that only one row of a table needs."""
        return self.out / "ablations"

    @property
    def people(self) -> Path:
        """People's grades of RealQA's test pictures, as a table of labels."""
        return self.out / "people.csv"

    def data(self, name: str) -> Path:
        return self.out / "data" / name

    def log(self, name: str) -> Path:
        return self.out / "logs" / f"{name}.log"
