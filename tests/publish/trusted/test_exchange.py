"""Jobs exchange their tokens at a gateway, and publish with what they get."""

import asyncio
import json
import subprocess
import sys
from base64 import b64encode
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest

from gateway.access.tokens.keys import parse_key
from gateway.access.tokens.token import verify
from gateway.app import Gateway
from gateway.errors import ConfigError
from gateway.principal import Right
from tests.access.tokens.test_token import PUBLIC_PEM
from tests.conftest import StartGateway
from tests.support.faults import FaultyBucket
from tests.support.issuer import Issuer
from tests.support.jobs import AUDIENCE, KEY, SHA, github, publisher, token, trusting
from tests.support.process import gateway_environment
from tests.support.uploads import upload, wheel

FILE, CONTENT = wheel("acme_web", "1.0")
OBJECT = f"acme-web/{FILE}"


@pytest.fixture
async def gateway(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str], issuer: Issuer
) -> Gateway:
    return await start_gateway(faulty_settings | trusting(publisher(issuer)))


async def get(url: str, **headers: str) -> tuple[int, Any, Any]:
    async with aiohttp.request("GET", url, headers=headers) as answer:
        return answer.status, await answer.text(), answer.headers


async def mint(url: str, text: str, path: str = "/_/oidc/mint-token") -> tuple[int, Any]:
    async with aiohttp.request("POST", url + path, json={"token": text}) as answer:
        return answer.status, await answer.json()


async def managed(url: str, headers: dict[str, str], action: str) -> int:
    form = {"action": action, "version": "1.0"}
    async with aiohttp.request("POST", f"{url}/-/manage/acme-web/", data=form, headers=headers) as answer:
        return answer.status


def as_clients_send(minted: str) -> dict[str, str]:
    return {"Authorization": "Basic " + b64encode(f"__token__:{minted}".encode()).decode()}


async def test_a_job_publishes_with_what_it_gets_for_its_token(
    gateway: Gateway, issuer: Issuer, faulty: FaultyBucket
) -> None:
    status, text, _ = await get(f"{gateway.url}/_/oidc/audience")
    assert (status, json.loads(text)) == (200, {"audience": AUDIENCE})
    status, answer = await mint(gateway.url, token(issuer, github()))
    assert status == 200
    assert answer["success"] is True
    claims = verify(answer["token"], [parse_key(KEY)], 0)
    assert (claims.expires, claims.scope.rights, claims.scope.projects) == (
        answer["expires"],
        frozenset({Right.WRITE}),
        ("acme-*",),
    )
    assert (await upload(gateway.url, FILE, CONTENT, headers=as_clients_send(answer["token"])))[0] == 200
    assert faulty.objects[OBJECT] == CONTENT
    host = issuer.url.removeprefix("http://")
    put = next(request for request in faulty.requests if request.method == "PUT" and request.key == OBJECT)
    assert put.headers["x-amz-meta-uploader"].startswith(
        f"github@{quote(host)}%3Aacme%2Fweb%2F.github%2Fworkflows%2Frelease.yml@refs"
    )
    assert json.loads(put.headers["x-amz-meta-publisher"]) == {
        "kind": "GitHub",
        "repository": "acme/web",
        "sha": SHA,
        "workflow": "release.yml",
        "run": "4242",
        "ref": "refs/tags/v1.0",
        "environment": "release",
        "issuer": issuer.url,
    }


async def test_the_token_is_for_those_projects_and_for_nothing_but_to_publish(
    gateway: Gateway, issuer: Issuer, faulty: FaultyBucket
) -> None:
    other, content = wheel("other", "1.0")
    headers = as_clients_send((await mint(gateway.url, token(issuer, github())))[1]["token"])
    status, _, text = await upload(gateway.url, other, content, headers=headers)
    assert (status, "You may not do this" in text) == (403, True)
    assert (await get(f"{gateway.url}/simple/", **headers))[0] == 403
    assert await managed(gateway.url, headers, "yank") == await managed(gateway.url, headers, "delete") == 403
    assert [key for key in faulty.objects if not key.startswith(".gateway/")] == []


@pytest.mark.parametrize(
    ("trusted", "audience", "status"),
    [(True, "acme-other", 403), (False, "acme-other", 403), (False, None, 403), (False, AUDIENCE, 200)],
)
async def test_a_token_is_good_at_the_index_for_which_it_was_made(
    start_gateway: StartGateway,
    gateway: Gateway,
    faulty: FaultyBucket,
    faulty_settings: dict[str, str],
    issuer: Issuer,
    trusted: bool,
    audience: str | None,
    status: int,
) -> None:
    settings = faulty_settings | trusting(*([publisher(issuer, repository="acme/other")] if trusted else []))
    settings |= {"storage.prefix": "other/", "publish.audience": audience or ""}
    if audience is None:
        del settings["publish.audience"]
    other = await start_gateway(settings)
    headers = as_clients_send((await mint(gateway.url, token(issuer, github())))[1]["token"])
    assert (await upload(other.url, FILE, CONTENT, headers=headers))[0] == status
    assert (f"other/{OBJECT}" in faulty.objects) is (status == 200)
    assert (await upload(gateway.url, FILE, CONTENT, headers=headers))[0] == 200


async def test_a_revoked_token_publishes_nothing(gateway: Gateway, issuer: Issuer, faulty: FaultyBucket) -> None:
    minted = (await mint(gateway.url, token(issuer, github())))[1]["token"]
    revoked = verify(minted, [parse_key(KEY)], 0).id
    faulty.objects[".gateway/revoked-tokens"] = f"{revoked}\n".encode()
    gate = gateway.mount.access.gate
    assert gate is not None
    [tokens] = [one for one in gate.authentication._sure if one.method == "token"]
    await tokens._revocations.read()  # type: ignore[attr-defined]  # as it does every three seconds
    assert (await upload(gateway.url, FILE, CONTENT, headers=as_clients_send(minted)))[0] == 401


async def test_a_token_is_good_once(gateway: Gateway, issuer: Issuer) -> None:
    text = token(issuer, github())
    assert (await mint(gateway.url, text))[0] == 200
    status, answer = await mint(gateway.url, text)
    assert (status, answer["message"]) == (422, "Token request failed")
    assert answer["errors"] == [
        {"code": "invalid-reuse-token", "description": "the token has been used before: get a new one"}
    ]


async def test_of_two_gateways_at_once_one_takes_a_token(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str], issuer: Issuer
) -> None:
    settings = faulty_settings | trusting(publisher(issuer))
    gateways = [await start_gateway(settings), await start_gateway(settings)]
    for _ in range(4):
        text = token(issuer, github())
        answers = await asyncio.gather(*(mint(gateway.url, text) for gateway in gateways * 2))
        assert sorted(status for status, _ in answers) == [200, 422, 422, 422]


@pytest.mark.parametrize("path", ["/_/oidc/mint-token", "/packages/_/oidc/mint-token"])
async def test_clients_find_it_at_the_root_of_the_host_and_below_the_path_of_the_index(
    start_gateway: StartGateway, faulty_settings: dict[str, str], issuer: Issuer, path: str
) -> None:
    gateway = await start_gateway(faulty_settings | trusting(publisher(issuer)) | {"server.base_path": "/packages"})
    assert (await mint(gateway.url, token(issuer, github()), path))[0] == 200
    assert (await get(gateway.url + path.replace("mint-token", "audience") + "?x=1"))[0] == 200


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        ("application/vnd.pypi.pytp.v1+json", 200),
        ("*/*", 200),
        ("text/html, application/json;q=0.5", 200),
        ("text/html", 406),
        ("application/vnd.pypi.pytp.v2+json", 406),
    ],
)
async def test_discovery_tells_where_it_is(gateway: Gateway, accept: str, status: int) -> None:
    found, text, headers = await get(f"{gateway.url}/.well-known/pytp?discover=%2Flegacy%2F", Accept=accept)
    assert found == status
    answer = json.loads(text)
    if status == 200:
        assert headers["Content-Type"] == "application/vnd.pypi.pytp.v1+json"
        assert answer == {
            "audience-endpoint": f"{gateway.url}/_/oidc/audience",
            "token-mint-endpoint": f"{gateway.url}/_/oidc/mint-token",
            "features": ["multi-use-token"],
            "default-features": ["multi-use-token"],
        }
    else:
        assert headers["Content-Type"] == "application/problem+json"
        assert answer["errors"][0]["code"] == "not-acceptable"


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("?discover=", 404),
        ("?discover=%2Fpackages", 200),
        ("?discover=%2Fpackages%2F", 200),
        ("?discover=%2Fpackages%2Fsimple%2F", 200),
        ("?discover=%2Fpackages%2Fother%2F", 404),
        ("?discover=%2Flegacy%2F", 404),
        ("?discover=%2Fpackages%2F&discover=%2F", 404),
        ("?" + "x=1&" * 20 + "discover=%2Fpackages", 404),
        ("?discover=%FF", 404),
        ("?discover=%0A", 404),
        ("", 404),
    ],
)
async def test_discovery_knows_the_paths_where_files_are_uploaded(
    start_gateway: StartGateway, faulty_settings: dict[str, str], issuer: Issuer, query: str, status: int
) -> None:
    more = {"server.public_url": "https://acme.example/packages"}
    gateway = await start_gateway(faulty_settings | trusting(publisher(issuer)) | more)
    found, text, _ = await get(f"{gateway.url}/.well-known/pytp{query}")
    assert found == status
    if status == 200:
        assert json.loads(text)["audience-endpoint"] == "https://acme.example/packages/_/oidc/audience"


async def test_discovery_tells_nothing_to_who_names_no_host(gateway: Gateway) -> None:
    assert (await get(f"{gateway.url}/.well-known/pytp?discover=%2F"))[0] == 200
    assert (await get(f"{gateway.url}/.well-known/pytp?discover=%2F", Host="a@b"))[0] == 404


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [("POST", "/_/oidc/audience", "GET"), ("GET", "/_/oidc/mint-token", "POST"), ("PUT", "/.well-known/pytp", "GET")],
)
async def test_each_page_has_one_method(gateway: Gateway, method: str, path: str, allowed: str) -> None:
    async with aiohttp.request(method, gateway.url + path) as answer:
        assert (answer.status, answer.headers["Allow"]) == (405, allowed)
        assert (await answer.json(content_type=None))["errors"]


async def test_without_trusted_publishers_there_is_no_such_page_and_nothing_is_imported(tmp_path: Path) -> None:
    code = """
import asyncio, sys
from gateway.app import Gateway
from gateway.config.load import load
settings = {"publish.enabled": "true", "publish.allow_anonymous": "true", "server.port": "0"}
async def run():
    gateway = Gateway(load(settings, environ={}))
    await gateway.start()
    await gateway.stop()
asyncio.run(run())
print([name for name in sys.modules if name.startswith(("gateway.publish.trusted", "joserfc"))])
"""
    told = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=gateway_environment(tmp_path),
        capture_output=True,
    )
    assert told.stdout == b"[]\n", told.stderr


async def test_without_trusted_publishers_clients_are_told_that_there_are_none(
    start_gateway: StartGateway, faulty_settings: dict[str, str]
) -> None:
    gateway = await start_gateway(faulty_settings | {"publish.enabled": "true", "publish.allow_anonymous": "true"})
    assert (await get(f"{gateway.url}/_/oidc/audience"))[0] == 404
    assert (await get(f"{gateway.url}/.well-known/pytp?discover=%2F"))[0] == 404
    async with aiohttp.request("POST", f"{gateway.url}/_/oidc/mint-token", json={"token": "x"}) as answer:
        assert answer.status == 405


async def test_a_public_key_makes_no_tokens_and_that_is_told_at_the_start(
    start_gateway: StartGateway, faulty_settings: dict[str, str], issuer: Issuer
) -> None:
    settings = trusting(publisher(issuer)) | {"access.tokens": json.dumps({"keys": [PUBLIC_PEM]})}
    with pytest.raises(ConfigError, match=r"publish\.trusted.*needs a key in access\.tokens that signs"):
        await start_gateway(faulty_settings | settings)
