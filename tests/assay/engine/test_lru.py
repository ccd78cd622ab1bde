from assay.engine.lru import LRU


def test_what_was_not_used_for_longest_goes_first() -> None:
    lru: LRU[str, bytes] = LRU(max_bytes=10, size_bytes=len)
    lru.put("a", b"12345")
    lru.put("b", b"12345")
    assert lru.get("a") == b"12345"
    lru.put("c", b"1")
    assert (lru.get("b"), lru.get("a"), lru.get("c")) == (None, b"12345", b"1")
    assert (lru.currsize, lru.evictions) == (6, 1)


def test_what_is_too_large_by_itself_is_not_cached() -> None:
    lru: LRU[str, bytes] = LRU(max_bytes=3, size_bytes=len)
    lru.put("a", b"12345")
    assert (lru.get("a"), lru.currsize) == (None, 0)


def test_what_has_grown_pushes_others_out_when_it_is_put_again() -> None:
    lru: LRU[str, bytearray] = LRU(max_bytes=10, size_bytes=len)
    grows = bytearray(b"1")
    lru.put("a", bytearray(b"12345"))
    lru.put("b", grows)
    grows += b"234567"
    lru.put("b", grows)
    assert (lru.get("a"), lru.get("b"), lru.currsize) == (None, grows, 7)
