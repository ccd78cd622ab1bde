"""assay/rpc/security.py, tls.py, authentication.py: who may call, and over which line."""

import asyncio
import time

import grpc
import pytest
from prometheus_client import REGISTRY
from pydantic_settings import SettingsConfigDict

from assay.errors import PermissionDenied, ServiceUnavailable, SettingsError, Unauthenticated
from assay.rpc.access import TokenSettings, is_loopback
from assay.rpc.authentication import ApiKeys, Jwts, Tokens
from assay.rpc.call import Identity
from assay.rpc.channel import channel
from assay.rpc.errors import error_from
from assay.rpc.health import watch
from assay.rpc.security import Security, pem_files, security_of
from assay.rpc.security import tokens as accepted_tokens
from assay.rpc.serve import listening
from assay.rpc.settings import ServerSettings
from assay.rpc.tls import PemFiles
from assay.v1 import assay_pb2, assay_pb2_grpc
from tests.certificates import Authority
from tests.tokens import API_KEY, AUDIENCE, ISSUER, Issuer, write_api_keys

GATEWAY, STRANGER = "spiffe://assay/gateway", "spiffe://assay/stranger"
METHOD = "/assay.v1.AssayService/ScoreImage"


@pytest.fixture(scope="module")
def issuer(tmp_path_factory):
    return Issuer(tmp_path_factory.mktemp("issuer"))


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path)


class OfTokens(TokenSettings):
    model_config = SettingsConfigDict(env_prefix="GATEWAY_")


def jwts(issuer):
    return Jwts(issuer.jwks, ISSUER, AUDIENCE, "tenant")


class Answering(assay_pb2_grpc.AssayServiceServicer):
    async def ScoreImage(self, request, context):  # noqa: N802 the name is the contract's
        return assay_pb2.ScoreImageResponse()


async def answer(address, files=None, **options):
    """How a call to the address ends."""
    async with channel(address, files) as to:
        try:
            await assay_pb2_grpc.AssayServiceStub(to).ScoreImage(
                assay_pb2.ScoreImageRequest(image=b"x"), timeout=10, **options
            )
            return "OK"
        except grpc.aio.AioRpcError as failed:
            error = error_from(failed)
            error.__cause__ = failed
            return error


def serving(security):
    def add(server):
        assay_pb2_grpc.add_AssayServiceServicer_to_server(Answering(), server)

    return listening("127.0.0.1:0", add, [], security=security)


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
def test_a_token_of_the_issuer_says_whose_the_call_is(issuer, algorithm):
    caller = jwts(issuer).identity(issuer.token(algorithm, scope="score admin"))
    assert caller == Identity("someone", "acme", frozenset({"score"}))


def test_every_bad_token_gets_the_same_sentence(issuer, tmp_path):
    tokens = Tokens([ApiKeys(write_api_keys(tmp_path)), jwts(issuer)])
    sentences = {}
    for wrong, token in issuer.bad_tokens().items():
        with pytest.raises(Unauthenticated) as refused:
            tokens.identity(f"Bearer {token}")
        sentences[wrong] = refused.value.message
    assert len(set(sentences.values())) == 1


def test_the_log_says_why_a_token_was_refused_and_nothing_of_it(issuer, caplog):
    caplog.set_level("INFO")
    token = issuer.token(exp=int(time.time()) - 3600)
    assert jwts(issuer).identity(token) is None
    assert "ExpiredSignatureError" in caplog.text
    assert token.split(".")[1] not in caplog.text


@pytest.mark.parametrize(("skew", "is_accepted"), [(50, True), (70, False)])
def test_a_clock_that_is_a_minute_off_is_forgiven(issuer, skew, is_accepted):
    now = int(time.time())
    early, late = issuer.token(nbf=now + skew), issuer.token(exp=now - skew)
    assert [bool(jwts(issuer).identity(each)) for each in (early, late)] == [is_accepted] * 2


def test_an_api_key_is_known_by_its_hash(tmp_path):
    file = write_api_keys(tmp_path)
    assert API_KEY not in file.read_text()
    assert ApiKeys(file).identity(API_KEY).tenant == "acme"


def test_a_key_that_is_taken_out_of_the_file_is_refused_from_then_on(tmp_path):
    file = write_api_keys(tmp_path)
    keys = ApiKeys(file)
    file.write_text("keys = []\n")
    assert keys.identity(API_KEY) is None


def test_a_broken_file_of_keys_leaves_the_old_ones_and_is_counted(tmp_path):
    file = write_api_keys(tmp_path)
    keys = ApiKeys(file)
    before = REGISTRY.get_sample_value("assay_reload_failures_total", {"kind": "api_keys"}) or 0
    file.write_text("[[keys]\n")
    assert keys.identity(API_KEY) is not None
    assert REGISTRY.get_sample_value("assay_reload_failures_total", {"kind": "api_keys"}) == before + 1


def test_a_scope_that_the_token_lacks_is_denied(issuer):
    security = Security(tokens=Tokens([jwts(issuer)]), scopes={METHOD: "score uri"})
    with pytest.raises(PermissionDenied, match="'uri'"):
        security.identity_of(METHOD, f"Bearer {issuer.token(scope='score')}")


def test_a_caller_names_no_tenant_but_its_own():
    caller = Identity("someone", "acme")
    assert (caller.tenant_for(""), caller.tenant_for("acme")) == ("acme", "acme")
    with pytest.raises(PermissionDenied):
        caller.tenant_for("other")


@pytest.mark.parametrize("given", ["auth_issuer", "auth_audience", "auth_tenant_claim"])
def test_what_is_said_of_tokens_without_keys_does_not_start_an_open_program(given):
    with pytest.raises(SettingsError, match=f"GATEWAY_{given.upper()} needs GATEWAY_AUTH_JWKS"):
        accepted_tokens(OfTokens(**{given: "x"}))


async def test_a_refusal_comes_before_the_first_message_is_read(issuer):
    async with serving(Security(tokens=Tokens([jwts(issuer)]))) as (_, address), channel(address) as to:
        call = to.stream_unary(METHOD, lambda data: data)(metadata=[("authorization", "Bearer x.y.z")])
        assert await call.code() is grpc.StatusCode.UNAUTHENTICATED  # nothing was sent


@pytest.mark.parametrize(
    ("shown", "outcome"),
    [(GATEWAY, "OK"), (STRANGER, PermissionDenied), ("", ServiceUnavailable)],
)
async def test_of_our_programs_those_on_the_list_may_call(authority, shown, outcome):
    server = PemFiles(*authority.issue("scoring"), authority.file)
    client = PemFiles(*authority.issue("client", shown), authority.file)
    if not shown:  # of another authority
        (foreign := authority.file.parent / "foreign").mkdir()
        client = PemFiles(*Authority(foreign).issue("client", GATEWAY), authority.file)
    async with serving(Security(server, callers=(GATEWAY,))) as (_, address):
        got = await answer(address, client)
    assert got == outcome or isinstance(got, outcome)


async def test_that_tls_meets_plain_text_is_in_the_log_of_a_program_that_waits(authority, caplog):
    client = PemFiles(*authority.issue("gateway"), authority.file)
    async with serving(Security()) as (health, address):

        async def ready():
            if isinstance(failed := await answer(address, client), Exception):
                raise failed

        waiting = asyncio.create_task(watch(health, ready, lambda: None))
        while not caplog.records:  # noqa: ASYNC110 nothing tells
            await asyncio.sleep(0.01)
        waiting.cancel()
    assert "SSL" in caplog.records[0].facts["cause"]


async def test_a_renewed_certificate_is_used_by_both_sides_without_a_restart(authority):
    server = PemFiles(*authority.issue("scoring"), authority.file)
    client = PemFiles(*authority.issue("client", STRANGER), authority.file)
    async with serving(Security(server, callers=(GATEWAY,))) as (_, address), channel(address, client) as to:
        stub = assay_pb2_grpc.AssayServiceStub(to)
        with pytest.raises(grpc.aio.AioRpcError):
            await stub.ScoreImage(assay_pb2.ScoreImageRequest(image=b"x"))
        authority.issue("client", GATEWAY)
        authority.issue("scoring")
        await stub.ScoreImage(assay_pb2.ScoreImageRequest(image=b"x"))


async def test_a_broken_certificate_leaves_the_old_one_and_is_counted(authority):
    certificate, key = authority.issue("scoring")
    server = PemFiles(certificate, key, authority.file)
    client = PemFiles(*authority.issue("client", GATEWAY), authority.file)
    before = REGISTRY.get_sample_value("assay_reload_failures_total", {"kind": "tls"}) or 0
    async with serving(Security(server, callers=(GATEWAY,))) as (_, address):
        certificate.write_text("-----BEGIN CERTIFICATE-----\nno\n")
        assert await answer(address, client) == "OK"
    assert REGISTRY.get_sample_value("assay_reload_failures_total", {"kind": "tls"}) == before + 1


def test_a_broken_certificate_is_logged_once_however_many_of_a_program_use_it(authority, caplog):
    certificate, key = authority.issue("scoring")
    settings = Settings(tls_certificate=certificate, tls_key=key, tls_authorities=authority.file)
    to_callers, to_upstream = pem_files(settings), pem_files(settings)
    certificate.write_text("-----BEGIN CERTIFICATE-----\nno\n")
    assert to_callers.get() is to_upstream.get()
    assert caplog.text.count("changed files are not used") == 1


class Settings(ServerSettings):
    model_config = SettingsConfigDict(env_prefix="SCORING_")


def test_a_program_that_would_be_open_to_the_network_does_not_start():
    with pytest.raises(SettingsError, match="SCORING_INSECURE=true"):
        security_of(Settings(), {"address": "0.0.0.0:50053"})


def test_a_program_is_open_to_the_network_if_that_is_said(caplog):
    assert not security_of(Settings(insecure=True), {"address": "0.0.0.0:50053"}).reflection
    assert "without TLS" in caplog.text


def test_tls_alone_does_not_say_who_calls(authority):
    certificate, key = authority.issue("scoring")
    settings = Settings(tls_certificate=certificate, tls_key=key)
    with pytest.raises(SettingsError, match="without authentication"):
        security_of(settings, {"address": "0.0.0.0:50053"})


def test_a_program_with_tls_and_a_list_of_callers_starts(authority):
    certificate, key = authority.issue("scoring")
    settings = Settings(
        tls_certificate=certificate, tls_key=key, tls_authorities=authority.file, tls_callers=(GATEWAY,)
    )
    assert security_of(settings, {"address": "0.0.0.0:50053"}).authenticates


@pytest.mark.parametrize("address", ["127.0.0.1:1", "[::1]:1", "localhost:1", "unix:/tmp/x", ""])
def test_loopback_is_open_to_this_machine_alone(address):
    assert is_loopback(address)


@pytest.mark.parametrize("address", ["0.0.0.0:1", "[::]:1", "10.0.0.1:1", "gateway:1"])
def test_other_addresses_are_open_to_others(address):
    assert not is_loopback(address)


async def test_metadata_over_8_kb_is_refused_as_invalid():
    async with serving(Security()) as (_, address):
        got = await answer(address, metadata=[("x-long", "x" * 9000)])
    assert (got.reason, "8192" in got.message) == ("INVALID_REQUEST", True)
