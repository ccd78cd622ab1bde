"""Memory that a decoder has freed does not stay with its worker."""

import ctypes

import psutil

from gateway.decode.worker.heap import Heap

LIBC = ctypes.CDLL(None)
LIBC.malloc.restype = LIBC.realloc.restype = ctypes.c_void_p
BLOCKS, BLOCK_BYTES = 1000, 64 * 1024


def test_holes_between_blocks_that_are_in_use_go_back_to_the_kernel():
    blocks = [LIBC.malloc(BLOCK_BYTES) for _ in range(BLOCKS)]
    for block in blocks:
        ctypes.memset(block, 1, BLOCK_BYTES)
    # Made smaller where they are: behind each is a hole, and the heap cannot shrink from its end.
    held = [LIBC.realloc(ctypes.c_void_p(block), 64) for block in blocks]
    before = psutil.Process().memory_info().rss
    heap = Heap()
    for _ in range(256):
        heap.packet()
    freed = before - psutil.Process().memory_info().rss
    for block in held:
        LIBC.free(ctypes.c_void_p(block))
    assert freed > BLOCKS * BLOCK_BYTES / 2
