"""nginx lets people log in (`auth_request`, as oauth2-proxy is used), and the gateway believes what it says of them."""

from base64 import b64encode
from pathlib import Path

import aiohttp
import pytest

from tests.conftest import StartGateway
from tests.support import proxies
from tests.support.faults import FaultyBucket

PERSON = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
FILE = "/acme-web/acme_web-1.0.tar.gz"


async def test_people_come_through_nginx_and_tokens_and_passwords_too(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str], tmp_path: Path
) -> None:
    if (reason := proxies.unavailable("nginx")) is not None:
        pytest.skip(reason)
    faulty.objects = {FILE[1:]: b"content"}
    gateway = await start_gateway(
        faulty_settings
        | {
            "access.forward_auth": "{preset: oauth2-proxy-auth-request}",
            "access.authenticators": "tests.support.people:People",
            "access.rules": '[{projects: "acme-*", read: [user:zoe, user:alice], only: true}]',
            "server.trusted_proxies": "127.0.0.1/32",
            "cache.memory_bytes": "8MB",
        }
    )
    forged = {"X-Auth-Request-User": "zoe", "X-Auth-Request-Groups": "data"}

    def basic(user: str, password: str) -> dict[str, str]:
        return {"Authorization": "Basic " + b64encode(f"{user}:{password}".encode()).decode()}

    upstream = int(gateway.url.rpartition(":")[2])
    async with (
        proxies.running("nginx", tmp_path, upstream, proxies.NGINX_WITH_LOGIN) as port,
        aiohttp.ClientSession() as http,
    ):
        for headers, expected in [
            (PERSON | {"Cookie": "who=zoe"}, 200),
            (PERSON | {"Cookie": "who=yves"}, 403),
            (PERSON, 401),
            (PERSON | {"Cookie": "who=yves"} | forged, 403),
            (PERSON | forged, 401),
            (basic("alice", "pw-alice"), 200),
            (PERSON | basic("alice", "pw-alice"), 200),
            (basic("alice", "wrong") | forged, 401),
            (basic("carol", "pw-carol") | {"Cookie": "who=zoe"} | forged, 403),
            ({}, 401),
            (forged, 401),
        ]:
            for _ in range(2):
                async with http.get(f"http://127.0.0.1:{port}{FILE}", headers=headers) as answer:
                    assert answer.status == expected, headers
        # The gateway itself has asked the installer, which can answer that; nginx asked the person.
        assert answer.headers["WWW-Authenticate"].startswith("Basic ")
