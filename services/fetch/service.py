"""The gRPC edge: a URI in, bytes out."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from assay.rpc.admission import ConcurrencyLimit
from assay.v1 import fetch_pb2, fetch_pb2_grpc
from assay.web import Web
from services.fetch.buckets import Buckets

NAME = fetch_pb2.DESCRIPTOR.services_by_name["FetchService"].full_name


class FetchService(fetch_pb2_grpc.FetchServiceServicer):
    """Every call has a connection of its own."""

    def __init__(self, web: Web, buckets: Buckets, max_in_flight: int = 32) -> None:
        self._web = web
        self._buckets = buckets
        self._places = ConcurrencyLimit(max_in_flight)

    async def Fetch(  # noqa: N802 - named by the contract
        self, request: fetch_pb2.FetchRequest, context: Any
    ) -> AsyncGenerator[fetch_pb2.FetchResponse, None]:
        with self._places.one():
            if request.uri in self._buckets:
                place = await self._buckets.place(request.uri)
                self._web.rules.check_scheme(place)
            else:
                place = self._web.rules.place(request.uri)
            async with aclosing(self._web.get_place(place, request.max_bytes)) as chunks:
                async for chunk in chunks:
                    yield fetch_pb2.FetchResponse(chunk=chunk)
