"""`ablations`, `from-labels`, `attributes`: runs that were not served, and grades against people's."""

import argparse
from pathlib import Path

from data import labels
from evaluation.labelled import labelled_run
from evaluation.paper.command import Command, add_data, add_held_out, add_trained_on, exit_code, show
from evaluation.people import Grades, people_table
from evaluation.runs import read_run, write_run
from evaluation.tables import ablations_table, claimed_tables, write_markdown
from evaluation.tasks.ablations import Sources, measured


def people_of(path: Path) -> Grades:
    """Attribute -> file -> grade. BadDataSet."""
    return labels.grades(labels.read(path))


def _ablations_options(parser: argparse.ArgumentParser) -> None:
    add_data(parser, "koniq")
    parser.add_argument("--runs", type=Path, required=True, metavar="DIR", help="--out of `training.paper ablations`")
    parser.add_argument("--realqa", type=Path, required=True, metavar="DIR")
    parser.add_argument("--people", type=Path, metavar="LABELS.csv", help="people's grades of RealQA's test pictures")
    parser.add_argument("--out", type=Path, metavar="FILE.md", help="also write the table there")


def _ablations(options: argparse.Namespace) -> int:
    people = people_of(options.people) if options.people else None
    sources = Sources(options.runs, options.data_set, options.data, options.realqa, people, options.limit)
    tables = [ablations_table(measured(sources))]
    show(tables)
    if options.out:
        write_markdown(tables, options.out)
    return 0


def _from_labels_options(parser: argparse.ArgumentParser) -> None:
    add_data(parser)
    add_trained_on(parser)
    add_held_out(parser)
    parser.add_argument("--labels", type=Path, required=True, metavar="LABELS.csv")
    parser.add_argument(
        "--form", required=True, metavar="TEXT", help="what was asked: direct, regular, 'regression head'"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="RUN.json", help="as `measure` writes it")


def _from_labels(options: argparse.Namespace) -> int:
    told = options.labels, options.data_set, options.trained_on, options.data, options.form
    run = labelled_run(*told, options.limit, "not served", options.held_out_share)
    write_run(run, options.out)
    show(claimed_tables([run]))
    return exit_code([run])


def _attributes_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run_file", type=Path, metavar="RUN.json", help="of `measure` in the regular form")
    parser.add_argument("--people", type=Path, required=True, metavar="LABELS.csv", help="of `python -m data`")


def _attributes(options: argparse.Namespace) -> int:
    run = read_run(options.run_file)
    show([people_table(run, people_of(options.people))])
    return exit_code([run])


ABLATIONS = Command("What `training.paper ablations` made, beside the paper's claims", _ablations_options, _ablations)
FROM_LABELS = Command("Scores of `training.paper score` as a run", _from_labels_options, _from_labels)
ATTRIBUTES = Command("The grades of a run against people's, and their mean", _attributes_options, _attributes)
