"""`python -m evaluation.paper COMMAND …`: the paper's tables and figures, measured through the served path.

Exit codes: 0 everything was scored, 1 some file was not (every table counts it), 2 wrong use, 3 no server.
"""

import argparse
import sys
from collections.abc import Sequence

from assay.errors import AssayError
from evaluation.paper.commands import COMMANDS


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m evaluation.paper", description=(__doc__ or "").split("\n\n")[0])
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        each = commands.add_parser(name, help=command.summary, description=command.summary)
        command.add_options(each)
        each.set_defaults(run=command.run, parser=each)
    options = parser.parse_args(argv)
    try:
        return int(options.run(options))
    except KeyboardInterrupt:
        print("evaluation.paper: stopped", file=sys.stderr)
        return 130
    except (AssayError, OSError) as error:
        # Exits with 2.
        return int(options.parser.error(error.message if isinstance(error, AssayError) else str(error)))


if __name__ == "__main__":
    sys.exit(main())
