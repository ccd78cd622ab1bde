from tests.triton import triton_server

__all__ = ["triton_server"]
