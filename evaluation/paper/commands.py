"""The commands of `python -m evaluation.paper`, by name."""

from collections.abc import Mapping

from evaluation.paper.command import Command
from evaluation.paper.command_ablations import ABLATIONS, ATTRIBUTES, FROM_LABELS
from evaluation.paper.command_faithfulness import FAITHFULNESS
from evaluation.paper.command_sorting import SORTING
from evaluation.paper.command_zero_shot import ZERO_SHOT
from evaluation.tasks.runs import COMPARE, MEASURE, TABLES
from tests.paper_miniature import MINIATURE

COMMANDS: Mapping[str, Command] = {
    "measure": MEASURE,
    "tables": TABLES,
    "compare": COMPARE,
    "from-labels": FROM_LABELS,
    "attributes": ATTRIBUTES,
    "ablations": ABLATIONS,
    "zero-shot": ZERO_SHOT,
    "faithfulness": FAITHFULNESS,
    "sorting": SORTING,
    "miniature": MINIATURE,
}
