"""What clients that get no token are told, what it costs them, and what the logs have of it."""

import asyncio
import json
import logging
from typing import Any

import aiohttp
import pytest

from gateway.app import Gateway
from gateway.publish.trusted import exchange
from gateway.server.protocol import Request
from tests.conftest import StartGateway
from tests.publish.test_upload_access import Lines
from tests.publish.trusted.test_exchange import FILE, as_clients_send, get, mint
from tests.support.eventually import eventually
from tests.support.faults import FaultyBucket, error
from tests.support.issuer import METADATA, Issuer
from tests.support.jobs import KEY, github, publisher, token, trusting
from tests.support.uploads import upload, wheel


@pytest.fixture
async def gateway(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str], issuer: Issuer
) -> Gateway:
    return await start_gateway(faulty_settings | trusting(publisher(issuer)))


@pytest.fixture
def lines(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> Lines:
    monkeypatch.setattr(gateway._graph.log, "_access", True)
    return Lines(gateway, monkeypatch)


@pytest.fixture
def paused(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long clients were made to wait, which they are not here."""
    seconds: list[float] = []

    async def pause(request: Request, length: float) -> None:
        seconds.append(length)

    monkeypatch.setattr(Request, "pause", pause)
    return seconds


async def post(url: str, data: bytes, **headers: str) -> tuple[int, Any, Any]:
    async with aiohttp.request("POST", f"{url}/_/oidc/mint-token", data=data, headers=headers) as answer:
        return answer.status, await answer.json(), answer.headers


async def test_all_answers_have_what_clients_read_without_asking(gateway: Gateway, issuer: Issuer) -> None:
    for data in (b"", b"x" * 30, b"[" * 20_000, json.dumps({"token": "eyJ.eyJ.x"}).encode(), b" " * 1_000_000):
        status, answer, headers = await post(gateway.url, data)
        assert status == (413 if len(data) > 20_480 else 422)
        assert headers["Cache-Control"] == "no-store"
        assert headers["Content-Type"] == "application/json"
        [problem] = answer["errors"]
        assert problem["code"]
        assert problem["description"] == answer["detail"]
        assert (answer["message"], answer["status"]) == ("Token request failed", status)


async def test_wrong_tokens_are_limited_by_address_and_right_ones_are_not(
    gateway: Gateway, issuer: Issuer, paused: list[float]
) -> None:
    wrong = token(issuer, github(repository="zoe/fork"))
    for _ in range(10):
        assert (await mint(gateway.url, wrong))[0] == 422
    assert paused == []
    status, answer, headers = await post(gateway.url, json.dumps({"token": wrong}).encode())
    assert (status, answer["errors"][0]["code"]) == (429, "too-many-requests")
    assert int(headers["Retry-After"]) > 0
    assert paused == [5.0]
    assert (await mint(gateway.url, token(issuer, github())))[0] == 200  # of another job behind the same address
    rendered = gateway.metrics.render().decode()
    for result, count in (("allowed", 1), ("denied", 10), ("limited", 1)):
        assert f'gateway_auth_total{{method="trusted",result="{result}"}} {count}.0' in rendered


@pytest.mark.parametrize("fault", ["storage", "issuer", "late"])
async def test_what_is_down_lets_nobody_in_and_is_worth_another_try(
    gateway: Gateway, issuer: Issuer, faulty: FaultyBucket, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if fault == "storage":
        faulty.then(error(403, "AccessDenied"), times=20)
    elif fault == "issuer":
        issuer.says(METADATA, status=500)
    else:
        issuer.hold()
        monkeypatch.setattr(exchange, "_ANSWER_SECONDS", 0.05)
    status, answer, headers = await post(gateway.url, json.dumps({"token": token(issuer, github())}).encode())
    assert (status, answer["errors"][0]["code"]) == (503, "unavailable")
    assert int(headers["Retry-After"]) > 0
    assert "token" not in answer
    assert 'gateway_auth_total{method="trusted",result="unavailable"} 1.0' in gateway.metrics.render().decode()


async def test_the_audit_has_who_got_a_token_and_what_was_published_with_it(
    gateway: Gateway, issuer: Issuer, lines: Lines, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    text = token(issuer, github())
    minted = (await mint(gateway.url, text))[1]["token"]
    await mint(gateway.url, text)
    await mint(gateway.url, token(issuer, github(event_name="pull_request")))
    assert (await upload(gateway.url, *wheel("acme_web", "1.0"), headers=as_clients_send(minted)))[0] == 200
    await get(f"{gateway.url}/_/oidc/audience")
    await eventually(lambda: len(lines.of["access"]) == 5)
    names = "user", "auth", "right", "allowed", "why", "key"
    found = [tuple(line.get(name, "") for name in names) for line in lines.of["audit"]]
    who = f"github@{issuer.url.partition('//')[2]}:acme/web/.github/workflows/release.yml@refs/tags/v1.0"
    assert found == [
        (who, "trusted", "mint", "yes", "a token to publish acme-*", ""),
        ("", "trusted", "mint", "no", "the token has been used before: get a new one", ""),
        ("", "trusted", "mint", "no", "pull requests may not publish", ""),
        (who, "token", "write", "yes", found[3][4], f"acme-web/{FILE}"),
    ]
    assert lines.of["audit"][0]["token"] == lines.of["audit"][3]["token"] != ""
    assert found[3][4] == f"the token '{lines.of['audit'][0]['token']}' itself grants write"
    assert [line["route"] for line in lines.of["access"]] == ["trusted"] * 3 + ["upload", "trusted"]
    everything = json.dumps(lines.of) + caplog.text
    for secret in (minted, text, text.rpartition(".")[2], KEY):
        assert secret not in everything


@pytest.mark.parametrize("fault", ["late", "bug"])
async def test_whatever_fails_the_answer_is_what_clients_read(
    start_gateway: StartGateway,
    faulty_settings: dict[str, str],
    issuer: Issuer,
    fault: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = faulty_settings | trusting(publisher(issuer)) | {"log.audit": "true"}
    gateway = await start_gateway(settings | ({"server.answer_timeout": "0.2"} if fault == "late" else {}))
    lines = Lines(gateway, monkeypatch)
    if fault == "late":
        issuer.hold()
    else:
        monkeypatch.setattr(exchange.Exchange, "_mint", None)
    status, answer, headers = await post(gateway.url, json.dumps({"token": token(issuer, github())}).encode())
    assert (status, answer["errors"][0]["code"]) == (503, "unavailable")
    assert int(headers["Retry-After"]) > 0
    await eventually(lambda: len(lines.of["audit"]) == 1)
    assert [lines.of["audit"][0][name] for name in ("right", "allowed")] == ["mint", "no"]


async def test_a_gateway_whose_keys_are_gone_makes_no_tokens(gateway: Gateway, issuer: Issuer) -> None:
    gate = gateway.mount.access.gate
    assert gate is not None
    gate.signing_key = None  # as after a change of the section access to a public key
    status, answer, _ = await post(gateway.url, json.dumps({"token": token(issuer, github())}).encode())
    assert (status, answer["errors"][0]["code"]) == (503, "unavailable")


async def test_a_body_that_never_comes_is_not_waited_for(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.entrance._FORM_SECONDS", 0.05)
    reader, writer = await asyncio.open_connection("127.0.0.1", int(gateway.url.rpartition(":")[2]))
    writer.write(b"POST /_/oidc/mint-token HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
    async with asyncio.timeout(5):
        assert (await reader.readline()).startswith(b"HTTP/1.1 408 ")
    writer.close()
