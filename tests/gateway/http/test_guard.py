"""Who may ask over HTTP."""

import hashlib

import pytest

from assay.rpc.authentication import ApiKeys, Tokens
from assay.rpc.security import Security
from tests.gateway.http.serving import http_client
from tests.tokens import API_KEY, write_api_keys

pytestmark = pytest.mark.asyncio(loop_scope="session")
OTHERS_KEY = "assay_of_another_tenant"


@pytest.fixture
def security(tmp_path):
    file = write_api_keys(tmp_path)
    digest = hashlib.sha256(OTHERS_KEY.encode()).hexdigest()
    file.write_text(file.read_text() + f'[[keys]]\nsha256 = "{digest}"\ntenant = "other"\nscopes = ["score"]\n')
    return Security(tokens=Tokens([ApiKeys(file)]))


def shown(key):
    return {"authorization": f"Bearer {key}"}


async def test_without_a_token_nothing_is_answered_but_what_everybody_may_see(pool, security):
    async with http_client(pool, security=security) as client:
        refused = await client.get("/v1/models")
        assert (refused.status_code, refused.json()["title"]) == (401, "UNAUTHENTICATED")
        assert refused.headers["www-authenticate"] == "Bearer"
        assert (await client.get("/v1/openapi.json")).status_code == 200
        assert (await client.get("/v1/models", headers=shown(API_KEY))).status_code == 200


async def test_another_tenants_upload_is_not_found(pool, security):
    async with http_client(pool, security=security) as client:
        path = "/assay.v1.UploadService/"
        made = await client.post(f"{path}CreateUpload", json={}, headers=shown(API_KEY))
        upload = made.json()["upload"]["uploadId"]
        assert (await client.get(f"/v1/uploads/{upload}", headers=shown(API_KEY))).status_code == 200
        assert (await client.get(f"/v1/uploads/{upload}", headers=shown(OTHERS_KEY))).status_code == 404


async def test_the_request_id_is_in_the_problem(pool, security):
    async with http_client(pool, security=security) as client:
        refused = await client.get("/v1/models", headers={"x-request-id": "web-1"})
    assert refused.json()["request_id"] == "web-1"


async def test_a_page_of_a_named_origin_may_read_the_answer_and_why_it_is_refused(pool):
    async with http_client(pool, http_origins=["https://ops.example"]) as client:
        answer = await client.get("/v1/models", headers={"origin": "https://ops.example"})
    read = answer.headers
    assert (read["access-control-allow-origin"], "retry-after" in read["access-control-expose-headers"]) == (
        "https://ops.example",
        True,
    )
    assert (read["cross-origin-resource-policy"], read["vary"].lower()) == ("cross-origin", "origin")
