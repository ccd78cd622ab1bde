"""services/fetch over real sockets: a URI in, bytes or one named refusal out."""

from contextlib import asynccontextmanager
from ipaddress import ip_network

import grpc
import pytest

from assay.errors import AssayError, InvalidRequest, SettingsError, UriFailed, UriRefused
from assay.rpc.errors import error_from
from assay.rpc.serve import listening
from assay.rpc.settings import load
from assay.v1 import fetch_pb2, fetch_pb2_grpc
from assay.web import Web, WebRules
from services.fetch.buckets import Buckets, read_buckets
from services.fetch.service import FetchService
from services.fetch.settings import FetchSettings
from tests.services.serving import serving
from tests.web_server import HOST, plain, web_server

FILE = bytes(range(256)) * 500
TABLE = """
["s3://media"]
region = "eu-central-1"
access_key_id = "key"
secret_access_key = "very-secret"
"""


def service(server, buckets=None, **rules):
    async def resolve(host, port):
        return ["127.0.0.1"]

    allowed = {"hosts": (f"{HOST}:{server.port}",), "networks": (ip_network("127.0.0.0/8"),)} | rules
    web = Web(WebRules(**allowed), authorities=server.authorities, resolve=resolve)
    return FetchService(web, buckets or Buckets({}))


@asynccontextmanager
async def fetching(server, buckets=None, **rules):
    """A stub of a fetch service that may ask the server."""
    served = service(server, buckets, **rules)
    async with serving(lambda to: fetch_pb2_grpc.add_FetchServiceServicer_to_server(served, to)) as connected:
        yield fetch_pb2_grpc.FetchServiceStub(connected)


@asynccontextmanager
async def fetch_address(server):
    """Where such a service listens."""
    served = service(server)

    def add(to):
        fetch_pb2_grpc.add_FetchServiceServicer_to_server(served, to)

    async with listening("127.0.0.1:0", add, []) as (health, address):
        await health.set(True)
        yield address


async def body(stub, uri, max_bytes=1 << 20):
    try:
        return b"".join([each.chunk async for each in stub.Fetch(fetch_pb2.FetchRequest(uri=uri, max_bytes=max_bytes))])
    except grpc.aio.AioRpcError as failed:
        raise error_from(failed) from failed


def buckets(folder, server=None, table=TABLE):
    endpoint = f'endpoint = "https://{HOST}:{server.port}"' if server else ""
    (folder / "buckets.toml").write_text(table + endpoint)
    return read_buckets(folder / "buckets.toml")


async def test_a_file_comes_through_in_pieces(tmp_path):
    async with web_server(tmp_path, {"/file": plain(FILE)}) as server, fetching(server) as stub:
        assert await body(stub, server.uri()) == FILE


async def test_a_refusal_keeps_its_kind_and_its_sentence(tmp_path):
    async with web_server(tmp_path, {}) as server, fetching(server) as stub:
        with pytest.raises(UriRefused, match=r"evil\.test is not allowed: FETCH_ALLOWED_HOSTS"):
            await body(stub, "https://evil.test/file")


async def test_an_empty_uri_is_refused_as_a_request(tmp_path):
    async with web_server(tmp_path, {}) as server, fetching(server) as stub:
        with pytest.raises(InvalidRequest, match="uri"):
            await body(stub, "")


async def test_an_object_is_asked_for_with_a_signature_and_without_the_secret(tmp_path):
    async with (
        web_server(tmp_path, {"/media/clips/one.mp4": plain(FILE)}) as server,
        fetching(server, buckets(tmp_path, server), hosts=()) as stub,
    ):
        assert await body(stub, "s3://media/clips/one.mp4") == FILE
    assert "X-Amz-Signature=" in server.heads[0]
    assert "very-secret" not in server.heads[0]


async def test_the_address_of_an_object_store_is_checked_as_any_other(tmp_path):
    async with (
        web_server(tmp_path, {}) as server,
        fetching(server, buckets(tmp_path, server), networks=()) as stub,
    ):
        with pytest.raises(UriRefused, match="this machine itself"):
            await body(stub, "s3://media/clips/one.mp4")


async def test_an_object_that_is_not_there_is_named_without_its_signature(tmp_path):
    async with (
        web_server(tmp_path, {"/media/gone.mp4": plain(b"", "404 Not Found")}) as server,
        fetching(server, buckets(tmp_path, server)) as stub,
    ):
        with pytest.raises(UriFailed, match="404") as failed:
            await body(stub, "s3://media/gone.mp4")
    assert "X-Amz" not in failed.value.message


@pytest.mark.parametrize("uri", ["s3://media", "s3://media/", "s3://media/../other/a", "s3://media//a"])
async def test_a_key_that_may_lead_out_of_its_bucket_is_refused(tmp_path, uri):
    with pytest.raises(UriRefused, match="s3://media/KEY"):
        await buckets(tmp_path).place(uri)


async def test_a_bucket_that_is_not_set_up_is_refused_by_name(tmp_path):
    with pytest.raises(UriRefused, match="s3://other is not set up: FETCH_BUCKETS"):
        await buckets(tmp_path).place("s3://other/one.mp4")


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        ("[media]\nregion = 'x'", r"a table looks like \[\"s3://BUCKET\"\], got 'media'"),
        ("['s3://media']\naccess_key_id = 'a'", "s3://media lacks secret_access_key"),
        (TABLE + "colour = 'blue'", "key or value that obstore does not take"),
        ("not toml", "cannot be read"),
    ],
)
def test_a_table_that_cannot_be_used_is_named(tmp_path, table, complaint):
    with pytest.raises(SettingsError, match=complaint):
        buckets(tmp_path, table=table)


def test_settings_are_lists_with_commas(monkeypatch):
    monkeypatch.setenv("FETCH_ALLOWED_HOSTS", "media.example.com, *.cdn.example.com:8443")
    monkeypatch.setenv("FETCH_ALLOWED_NETWORKS", "10.1.0.0/16,fd00::/8")
    rules = load(FetchSettings).rules()
    assert rules.hosts == ("media.example.com", "*.cdn.example.com:8443")
    assert len(rules.networks) == 2


def test_nothing_is_allowed_unless_it_is_set():
    rules = load(FetchSettings).rules()
    assert (rules.hosts, rules.schemes, rules.networks) == ((), ("https",), ())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ALLOWED_HOSTS", "https://media"),
        ("ALLOWED_HOSTS", "*"),
        ("SCHEMES", "ftp"),
        ("ALLOWED_NETWORKS", "10.0.0.0/40"),
    ],
)
def test_a_setting_that_cannot_be_meant_stops_the_program(monkeypatch, name, value):
    monkeypatch.setenv(f"FETCH_{name}", value)
    with pytest.raises(SettingsError, match=f"FETCH_{name}"):
        load(FetchSettings)


def test_every_refusal_crosses_the_wire_as_its_own_kind():
    assert {kind.reason for kind in AssayError.__subclasses__()} >= {"URI_REFUSED", "URI_FAILED", "URI_UNREACHABLE"}
