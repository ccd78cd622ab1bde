"""Memory that a decoder has freed does not stay with its worker."""

import ctypes

import psutil

from gateway.decode_worker.heap import Heap

LIBC = ctypes.CDLL(None)
LIBC.malloc.restype = ctypes.c_void_p
BLOCKS, BLOCK_BYTES = 1000, 64 * 1024


def test_freed_blocks_between_held_ones_go_back_to_the_kernel():
    large, small = [], []
    for _ in range(BLOCKS):
        large.append(LIBC.malloc(BLOCK_BYTES))
        ctypes.memset(large[-1], 1, BLOCK_BYTES)
        small.append(LIBC.malloc(64))
    for address in large:
        LIBC.free(ctypes.c_void_p(address))
    before = psutil.Process().memory_info().rss
    heap = Heap()
    for _ in range(256):
        heap.packet()
    freed = before - psutil.Process().memory_info().rss
    for address in small:
        LIBC.free(ctypes.c_void_p(address))
    assert freed > BLOCKS * BLOCK_BYTES / 2
