"""gRPC-Web, Connect and curl-able JSON: the contract's services over HTTP/1.1, for browsers and those without gRPC."""

from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import aclosing, contextmanager
from contextvars import ContextVar
from typing import Any

from connectrpc.code import Code
from connectrpc.compat import google_protobuf_codecs
from connectrpc.errors import ConnectError, ErrorDetail
from connectrpc.method import IdempotencyLevel, MethodInfo, StreamType
from connectrpc.server import ConnectASGIApplication, Endpoint
from google.protobuf import message_factory
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from protobuf.wkt import Any as AnyDetail
from starlette.types import Message, Receive, Scope, Send

from assay.errors import AssayError
from assay.rpc.errors import status_of
from assay.rpc.validation import check
from gateway.http.calls import Caller, counted
from gateway.http.problem import problem_response

_CODES = {code.value: code for code in Code}
READ_MAX_BYTES = 4 << 20
"""Of one message, as over gRPC."""
_ANSWER_HEADERS = (b"retry-after", b"www-authenticate")
_failures: ContextVar[list[AssayError]] = ContextVar("failures")
"""What the request that is answered has failed with, if it has."""


class ConnectApplication(ConnectASGIApplication[Any]):
    """An ASGI application for one service of the contract; client-streaming methods are left to gRPC."""

    def __init__(self, descriptor: ServiceDescriptor, servicer: object) -> None:
        self._descriptor = descriptor
        super().__init__(
            service=servicer,
            endpoints=self._endpoints_of,
            read_max_bytes=READ_MAX_BYTES,
            codecs=google_protobuf_codecs(),
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A call that fails as a whole has the status that REST gives the same error: the protocol's own are fewer, and
        its clients read the code in the body."""
        failures: list[AssayError] = []
        _failures.set(failures)

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] != 200 and failures:
                like = problem_response(failures[0])
                more = [pair for pair in like.raw_headers if pair[0] in _ANSWER_HEADERS]
                message = {**message, "status": like.status_code, "headers": [*message["headers"], *more]}
            await send(message)

        await super().__call__(scope, receive, sending)

    @property
    def path(self) -> str:
        """Where its methods are."""
        return f"/{self._descriptor.full_name}"

    def _endpoints_of(self, servicer: object) -> Mapping[str, Any]:
        return {
            f"{self.path}/{method.name}": _endpoint(method, getattr(servicer, method.name))
            for method in self._descriptor.methods
            if not method.client_streaming
        }


def _endpoint(method: MethodDescriptor, function: Callable[..., Any]) -> Any:
    kind = StreamType.SERVER_STREAM if method.server_streaming else StreamType.UNARY
    info: MethodInfo[Any, Any] = MethodInfo(
        name=method.name,
        service_name=method.containing_service.full_name,
        input=message_factory.GetMessageClass(method.input_type),
        output=message_factory.GetMessageClass(method.output_type),
        idempotency_level=IdempotencyLevel.UNKNOWN,
        stream_type=kind,
    )
    name = f"/{info.service_name}/{info.name} (http)"
    if method.server_streaming:
        return Endpoint.server_stream(info, _streaming(name, function))
    return Endpoint.unary(info, _unary(name, function))


@contextmanager
def _answered(name: str, request: Any) -> Iterator[None]:
    """One call: checked, counted, and what it fails with in the protocol's words."""
    try:
        with counted(name):
            check(request)
            yield
    except AssayError as error:
        _failures.get().append(error)
        raise connect_error(error) from error


def _unary(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    async def answer(request: Any, context: Any) -> Any:
        with _answered(name, request):
            return await function(request, _caller(context))

    return answer


def _streaming(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    async def answer(request: Any, context: Any) -> AsyncGenerator[Any, None]:
        with _answered(name, request):
            async with aclosing(function(request, _caller(context))) as responses:
                async for response in responses:
                    yield response

    return answer


def _caller(context: Any) -> Caller:
    return Caller(f"ipv4:{context.client_address}") if context.client_address else Caller()


def connect_error(error: AssayError) -> ConnectError:
    """The same code, sentence and details as over gRPC."""
    status = status_of(error)
    details = [ErrorDetail(AnyDetail(type_url=each.type_url, value=each.value)) for each in status.details]
    return ConnectError(Code[error.grpc_status], status.message, details)
