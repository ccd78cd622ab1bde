from assay.engine.kept import Kept


def test_what_was_not_used_for_longest_goes_first() -> None:
    kept: Kept[str, bytes] = Kept(most_bytes=10, size_bytes=len)
    kept.put("a", b"12345")
    kept.put("b", b"12345")
    assert kept.get("a") == b"12345"
    kept.put("c", b"1")
    assert (kept.get("b"), kept.get("a"), kept.get("c")) == (None, b"12345", b"1")
    assert (kept.held_bytes, kept.uses.evicted) == (6, 1)


def test_what_is_too_large_by_itself_is_not_kept() -> None:
    kept: Kept[str, bytes] = Kept(most_bytes=3, size_bytes=len)
    kept.put("a", b"12345")
    assert (kept.get("a"), kept.held_bytes) == (None, 0)


def test_what_has_grown_pushes_others_out_when_it_is_trimmed() -> None:
    kept: Kept[str, bytearray] = Kept(most_bytes=10, size_bytes=len)
    grows = bytearray(b"1")
    kept.put("a", bytearray(b"12345"))
    kept.put("b", grows)
    grows += b"234567"
    kept.trim()
    assert (kept.get("a"), kept.get("b"), kept.held_bytes) == (None, grows, 7)
