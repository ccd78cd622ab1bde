import json
from pathlib import Path

from training.recipe.log import plot, read_log, summary


def log(directory: Path) -> Path:
    lines = []
    for step in range(1, 5):
        numbers = {f"{name}_direct": 8.0 / step for name in ("ncm", "ncm_star_paper", "ncm_star_renormalised")}
        without = {name.replace("direct", "cot"): None for name in numbers}
        lines.append(json.dumps({"step": step, "loss": 1.0, **numbers, **without}))
    (directory / "log.jsonl").write_text("\n".join(lines))
    return directory


def test_the_first_and_last_steps_are_compared(tmp_path: Path) -> None:
    assert summary(read_log(log(tmp_path)))["ncm_direct"] == (6.0, (8 / 3 + 2) / 2)


def test_figure_5_is_drawn(tmp_path: Path) -> None:
    plot({"LoRA": read_log(log(tmp_path))}, tmp_path / "figure_5.png")
    assert (tmp_path / "figure_5.png").read_bytes().startswith(b"\x89PNG")
