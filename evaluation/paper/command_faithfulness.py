"""`faithfulness`: do words, grades and score agree, and what do edits of the reasoning do to the score?"""

import argparse
import asyncio
import json
from collections.abc import Mapping
from pathlib import Path

from assay.checkpoint import read_checkpoint
from data.rated import load
from evaluation.edited import edited_rows
from evaluation.measure import Settings
from evaluation.paper.command import Command, add_data, add_trained_on, exit_code, show
from evaluation.rated import files_to_test, label, measured
from evaluation.runs import Run
from evaluation.tables import Table, write_markdown
from evaluation.tasks.edited_reasoning import agreement_table, edited_to_json, edits_table


def _faithfulness_options(parser: argparse.ArgumentParser) -> None:
    add_data(parser)
    add_trained_on(parser)
    parser.add_argument("--checkpoint", type=Path, required=True, metavar="DIR", help="the assay.toml that is served")
    for name in ("server", "attribute-extraction", "scoring"):
        parser.add_argument(f"--{name}", required=True, metavar="HOST:PORT", help="as `assay up` prints it")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")


def _faithfulness(options: argparse.Namespace) -> int:
    addresses = {"attribute_extraction": options.attribute_extraction, "scoring": options.scoring}
    runs, tables = faithful(
        options.data_set,
        options.trained_on,
        options.data,
        options.server,
        addresses,
        options.checkpoint,
        options.out,
        options.limit,
    )
    show(tables)
    return exit_code(runs)


def faithful(
    name: str,
    trained_on: str,
    data: Path,
    server: str,
    addresses: Mapping[str, str],
    checkpoint: Path,
    out: Path,
    limit: int | None = None,
) -> tuple[list[Run], list[Table]]:
    """Runs in both reasoned forms, edits in the regular one; writes faithfulness.md and edited.json."""
    out.mkdir(parents=True, exist_ok=True)
    runs = [measured(name, trained_on, data, Settings(server, form, 2), limit) for form in ("regular", "natural")]
    files = [(label(file.path, data), file.path, file.mos) for file in files_to_test(load(name, data), limit)]
    edited = asyncio.run(edited_rows(addresses, read_checkpoint(checkpoint), "regular", files))
    tables = [agreement_table(*runs), edits_table(edited)]
    (out / "edited.json").write_text(json.dumps(edited_to_json(edited), indent=1) + "\n", encoding="utf-8")
    write_markdown(tables, out / "faithfulness.md")
    return runs, tables


FAITHFULNESS = Command("Do words, grades and score agree; edits of the reasoning", _faithfulness_options, _faithfulness)
