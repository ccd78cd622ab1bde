from hypothesis import given
from hypothesis import strategies as st

from assay.decoding.stop_strings import StopStrings

alphabet = "ab.\né日"
tokens = st.lists(st.text(alphabet, max_size=3), max_size=8).map(lambda parts: [part.encode() for part in parts])
stops = st.lists(st.text(alphabet, min_size=1, max_size=3), max_size=3)


def _read(parts: list[bytes], stops: list[str]) -> tuple[str, StopStrings]:
    text, given_out = StopStrings(stops), ""
    for part in parts:
        given_out += text.feed(part)
        if text.is_stopped:
            return given_out, text
    return given_out + text.close(), text


@given(tokens, stops)
def test_the_text_never_holds_a_stop(parts: list[bytes], stops: list[str]) -> None:
    text, _ = _read(parts, stops)
    assert not any(stop in text for stop in stops)


@given(st.text(alphabet), stops)
def test_byte_by_byte_the_text_ends_where_the_first_stop_is_complete(written: str, stops: list[str]) -> None:
    text, _ = _read([bytes([byte]) for byte in written.encode()], stops)
    ends = sorted((written.find(stop) + len(stop), written.find(stop)) for stop in stops if stop in written)
    first = min((start for end, start in ends if end == ends[0][0]), default=len(written))
    assert text == written[:first]


@given(tokens, stops)
def test_what_remains_is_the_text(parts: list[bytes], stops: list[str]) -> None:
    text, read = _read(parts, stops)
    whole, cut = read.before_stop()
    assert (b"".join(parts[:whole]) + cut).decode() == text


@given(st.text(alphabet, max_size=9))
def test_without_stops_whole_characters_are_given_at_once(written: str) -> None:
    text = StopStrings([])
    assert [text.feed(character.encode()) for character in written] == list(written)


def test_the_beginning_of_a_stop_is_held_back() -> None:
    text = StopStrings(["\n1."])
    assert [text.feed(part) for part in (b"a\n", b"1", b"0")] == ["a", "", "\n10"]


def test_half_a_character_is_held_back() -> None:
    text = StopStrings([])
    assert [text.feed("日".encode()[:2]), text.feed("日".encode()[2:])] == ["", "日"]


def test_half_a_character_at_the_end_is_marked() -> None:
    text = StopStrings([])
    assert text.feed("日".encode()[:2]) + text.close() == "\N{REPLACEMENT CHARACTER}"


def test_a_stop_within_a_token_leaves_its_beginning() -> None:
    _, read = _read([b"sharp", b".\n"], ["\n"])
    assert read.before_stop() == (1, b".")
