"""`python -m evaluation COMMAND …`: agreement with people, known damage, and the paper's rows, through the served path.

Exit codes: 0 everything was scored, 1 some file was not (the report counts it), 2 wrong use, 3 no server.
"""

import sys
from collections.abc import Callable, Mapping, Sequence

from data import command_line
from evaluation.tasks import (
    ablations,
    claims,
    correlation,
    edited_reasoning,
    faithfulness,
    grades,
    held_out,
    ladders,
    readings,
    repeats,
    robustness,
    runs,
    sorting,
    video,
    zero_shot,
)

COMMANDS: Mapping[str, Callable[..., int]] = {
    "correlation": correlation.command,
    "ladders": ladders.command,
    "grades": grades.command,
    "robustness": robustness.command,
    "faithfulness": faithfulness.command,
    "claims": claims.command,
    "readings": readings.command,
    "repeats": repeats.command,
    "video": video.command,
    "held-out": held_out.command,
    "measure": runs.measure,
    "from-labels": runs.from_labels,
    "tables": runs.tables,
    "compare": runs.compare,
    "attributes": runs.attributes,
    "ablations": ablations.command,
    "zero-shot": zero_shot.command,
    "edited-reasoning": edited_reasoning.command,
    "sorting": sorting.command,
}

app = command_line.application("How well scores agree with people, and what they follow; the paper's tables.")
for _name, _command in COMMANDS.items():
    app.command(_name)(_command)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command; the exit code."""
    return command_line.run(app, "evaluation", argv)


if __name__ == "__main__":
    sys.exit(main())
