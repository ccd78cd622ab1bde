"""`python -m evaluation --manifest FILE.csv`, `python -m evaluation COMMAND …`; see evaluation/commands.py.

Exit codes: 0 everything was scored, 1 some file was not (the report counts it), 2 wrong use, 3 no server.
"""

import argparse
import asyncio
import sys
from collections.abc import Sequence

from assay.errors import AssayError
from evaluation import report
from evaluation.measure import Failed, Outcome, exit_code
from evaluation.tasks.correlation import COMMANDS, Command


def main(argv: Sequence[str] | None = None) -> int:
    """Measures and prints; the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    name = arguments.pop(0) if arguments and arguments[0] in COMMANDS else ""
    command = COMMANDS[name]
    parser = _parser(name, command)
    options = parser.parse_args(arguments)
    if options.out and not options.out.parent.is_dir():
        parser.error(f"--out: there is no directory {options.out.parent}")
    try:
        numbers, outcomes, text = asyncio.run(command.run(options))
    except AssayError as error:
        parser.error(error.message)
    except KeyboardInterrupt:
        print("evaluation: stopped; nothing was written", file=sys.stderr)
        return 130
    print(text)
    if options.out:
        report.write_json(numbers, options.out)
    _complain(outcomes)
    return exit_code(outcomes)


def _parser(name: str, command: Command) -> argparse.ArgumentParser:
    others = ", ".join(other for other in COMMANDS if other)
    parser = argparse.ArgumentParser(
        prog=f"python -m evaluation {name}".strip(),
        description=command.summary,
        epilog=None if name else f"See also, each with --help: {others}",
    )
    command.add_options(parser)
    return parser


def _complain(outcomes: Sequence[Outcome]) -> None:
    """The first sentence of each reason, so that a failed run says what to do."""
    sentences = {outcome.reason: outcome.message for outcome in reversed(outcomes) if isinstance(outcome, Failed)}
    for reason, message in sentences.items():
        print(f"evaluation: {reason}: {message}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
