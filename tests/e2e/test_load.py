"""Under load, things change: credentials rotate, the bucket has a bad moment. Nobody may notice."""

import asyncio
import os
from pathlib import Path

import aiohttp
import pytest

from tests.conftest import StartGateway
from tests.support.faults import FaultyBucket, error


async def clients(
    http: aiohttp.ClientSession, url: str, rounds: int, halfway: asyncio.Event
) -> list[tuple[int, bytes]]:
    answers = []

    async def client(number: int) -> None:
        for turn in range(rounds):
            async with http.get(f"{url}/k") as answer:
                answers.append((answer.status, await answer.read()))
            if number == 0 and turn == rounds // 2:
                halfway.set()

    await asyncio.gather(*(client(number) for number in range(20)))
    return answers


def rotate(file: Path, faulty: FaultyBucket, access_key: str, secret: str, token: str) -> None:
    """A new file, as tools that rotate write it; and from now on nothing else is accepted."""
    lines = [f"aws_access_key_id = {access_key}", f"aws_secret_access_key = {secret}", f"aws_session_token = {token}"]
    new = file.with_suffix(".new")
    new.write_text("[default]\n" + "\n".join(lines) + "\n")
    new.replace(file)
    faulty.secrets = {}
    faulty.accept(access_key, secret, token)


async def test_credentials_that_rotate_fail_no_request(
    start_gateway: StartGateway,
    faulty: FaultyBucket,
    faulty_settings: dict[str, str],
    http: aiohttp.ClientSession,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    faulty.objects["k"] = b"content"
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    file = tmp_path / "credentials"
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    rotate(file, faulty, "AKIDOLD", "s1", "t1")
    settings = {name: value for name, value in faulty_settings.items() if ".aws_" not in name}
    gateway = await start_gateway(settings)
    halfway = asyncio.Event()
    loading = asyncio.ensure_future(clients(http, gateway.url, 30, halfway))
    await halfway.wait()
    rotate(file, faulty, "AKIDNEW", "s2", "t2")
    answers = await loading
    assert set(answers) == {(200, b"content")}
    assert len(answers) == 600
    assert any("AKIDNEW" in request.headers["authorization"] for request in faulty.requests)


async def test_a_burst_of_503_within_the_retry_budget_fails_no_request(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str], http: aiohttp.ClientSession
) -> None:
    """Ten faults in a row are an outage (storage/breaker.py), and more than ten retries multiply one."""
    faulty.objects["k"] = b"content"
    gateway = await start_gateway(faulty_settings)
    halfway = asyncio.Event()
    loading = asyncio.ensure_future(clients(http, gateway.url, 10, halfway))
    await halfway.wait()
    faulty.then(error(503, "SlowDown"), times=9)
    assert set(await loading) == {(200, b"content")}
    assert faulty.script == []
