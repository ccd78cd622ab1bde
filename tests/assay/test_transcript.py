"""A transcript crosses from one service to the other as it was written."""

from assay.transcript import Transcript
from assay.wire import transcript_from_wire, transcript_to_wire


def test_a_transcript_survives_the_journey():
    reported = Transcript(("Reason:", " fine", "\nThe final score is <"), "0123456789abcdef", True)
    assert transcript_from_wire(transcript_to_wire(reported)) == reported


def test_the_text_is_all_segments_joined():
    assert Transcript(("Reason:", " fine"), "", True).text == "Reason: fine"
