"""assay/cli/progress.py: what a person reads while a file is scored."""

import io

import pytest
from rich.console import Console

from assay.cli.progress import PlainScreen, ProgressCounter, Screen, TerminalScreen, stderr_screen
from assay.v1 import event_pb2
from tests.assay import scripted_gateway as script


def shown_after(*events: event_pb2.ScoreEvent, wanted: int = 0) -> tuple[str, int, int]:
    counter = ProgressCounter(wanted)
    for event in events:
        counter.feed(event)
    return counter.shown()


def progress(finished: int, begun: int) -> event_pb2.ScoreEvent:
    return event_pb2.ScoreEvent(
        progress=event_pb2.Progress(
            finished_windows=finished, started_windows=begun, received_bytes=3 << 20, sampled_frames=16
        )
    )


def attribute() -> event_pb2.ScoreEvent:
    return event_pb2.ScoreEvent(attribute=event_pb2.AttributeResult())


def test_nothing_has_come_while_the_file_is_sent():
    assert shown_after() == ("uploading", 0, 0)


def test_attributes_of_a_picture_are_counted():
    assert shown_after(script.started(), attribute(), attribute()) == ("decoding", 2, 10)


def test_of_some_attributes_those_are_all():
    assert shown_after(script.started(), attribute(), wanted=3) == ("decoding", 1, 3)


def test_the_early_score_stands_behind_what_is_being_done():
    early = event_pb2.ScoreEvent(early_score=event_pb2.EarlyScore(score=script.score(6.5)))
    assert shown_after(script.started(), early)[0] == "decoding, early score 6.5"


def test_windows_of_a_video_are_counted():
    assert shown_after(script.started(is_video=True), progress(2, 5)) == ("3.0 MiB, 16 frames, windows", 2, 5)


def test_a_pipe_gets_the_text_and_a_last_line_end(capsys):
    with PlainScreen() as screen:
        screen.write("Sharp.")
        screen.progress("scoring", 1, 2)
    assert capsys.readouterr().err == "Sharp.\n"


def test_the_quiet_one_gets_nothing(capsys):
    with stderr_screen(quiet=True) as screen:
        screen.write("Sharp.")
    assert (type(screen) is Screen, capsys.readouterr().err) == (True, "")


@pytest.mark.parametrize("text", ["Sharp and well lit.", "one\ntwo\n", "word " * 60])
def test_a_terminal_has_all_of_the_text_in_the_end(text):
    written = io.StringIO()
    with TerminalScreen(Console(file=written, force_terminal=True, width=40)) as screen:
        for word in text.split(" "):
            screen.write(f"{word} ")
        screen.progress("scoring", 1, 2)
    assert all(word in written.getvalue() for word in text.split())
