"""The decode pool of the gateway's tests."""

from tests.gateway.conftest import pool

__all__ = ["pool"]
