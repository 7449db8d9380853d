"""Credentials of a role, given by moto's STS and by servers that refuse."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib.parse import parse_qs

import pytest
from moto.server import ThreadedMotoServer

from gateway.app import Gateway
from gateway.config.load import load, load_text
from gateway.errors import ConfigError, CredentialsError
from gateway.storage.budgets import Budgets
from gateway.storage.s3.signing.assumed_role import Role
from gateway.storage.s3.signing.credentials import chain
from tests.support.bucket import Bucket
from tests.support.http import fetch
from tests.support.moto import Moto

ARN = "arn:aws:iam::123456789012:role/teams/packages"
REFUSED = b"""<ErrorResponse><Error><Code>AccessDenied</Code><Message>not you</Message></Error></ErrorResponse>"""


@pytest.fixture
def moto() -> Iterator[Moto]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield Moto(f"http://{host}:{port}")
    server.stop()


@contextmanager
def sts(status: int, body: bytes) -> Iterator[tuple[str, list[dict[str, list[str]]]]]:
    """A server on loopback that answers everything so; and what it was asked."""
    asked: list[dict[str, list[str]]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode()))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()
        thread.join()


def test_the_credentials_of_the_role_expire(moto: Moto, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", moto.endpoint_url)
    found = chain(access_key="AKIDBASE", secret_key="base-secret", role=Role(ARN, "ext-1", "eu-west-1"))()
    assert found.access_key not in ("AKIDBASE", "")
    assert found.token
    assert found.expires_at is not None
    assert 3000 < found.expires_at - time.time() <= 3601
    assert found.provider == f"{ARN}, assumed with those from settings"


def test_the_role_is_asked_for_with_its_external_id(monkeypatch: pytest.MonkeyPatch) -> None:
    with sts(403, REFUSED) as (url, asked):
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", url)
        load_role = chain(access_key="AKIDBASE", secret_key="base-secret", role=Role(ARN, "ext-1", "eu-west-1"))
        with pytest.raises(CredentialsError) as refused:
            load_role()
    said = refused.value.detail
    assert said.startswith(f"the role {ARN} (storage.assume_role_arn) can't be assumed: ClientError: ")
    assert "AccessDenied" in said
    assert "base-secret" not in said
    assert [(one["RoleArn"], one["ExternalId"], one["RoleSessionName"]) for one in asked] == [
        ([ARN], ["ext-1"], ["gateway"])
    ]


def test_without_an_external_id_none_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    with sts(403, REFUSED) as (url, asked):
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", url)
        with pytest.raises(CredentialsError):
            chain(access_key="AKIDBASE", secret_key="s", role=Role(ARN, region="eu-west-1"))()
    assert "ExternalId" not in asked[0]


async def test_a_bucket_is_read_with_the_credentials_of_the_role(
    moto: Moto, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", moto.endpoint_url)
    bucket = Bucket(moto)
    bucket.put("acme/acme-1.0.tar.gz", b"content")
    settings = bucket.settings(storage__assume_role_arn=ARN) | {"server.port": "0", "log.access": "false"}
    gateway = Gateway(load(settings, environ={}, cwd=tmp_path))
    await gateway.start()
    try:
        answer = await fetch(int(gateway.url.rpartition(":")[2]), "/acme/acme-1.0.tar.gz")
        assert (answer.status, answer.body) == (200, b"content")
        expires_at = gateway.storage.credentials_expire_at()
        assert expires_at is not None
        assert expires_at > time.time()
    finally:
        await gateway.stop()


def test_mounts_of_several_accounts_have_their_own(tmp_path: Path) -> None:
    settings = load_text(
        f"storage: {{bucket: a-a, aws_access_key_id: AK, aws_secret_access_key: s, assume_role_arn: '{ARN}'}}\n"
        "mounts:\n"
        "- {name: b, path: /b, storage: {bucket: b-b}}\n"
        f"- {{name: c, path: /c, storage: {{bucket: c-c, assume_role_arn: '{ARN}2'}}}}\n"
        "- {name: d, path: /d, storage: {bucket: d-d, assume_role_external_id: ext}}\n",
        "c.yaml",
    )
    budgets = Budgets()
    first, b, c, d = (budgets.credentials(one.storage) for one in settings.all_mounts)
    assert first is b
    assert len({first, c, d}) == 3


@pytest.mark.parametrize(
    ("storage", "said"),
    [
        ("assume_role_external_id: x2", "storage.assume_role_arn: is needed with storage.assume_role_external_id"),
        ("assume_role_arn: packages", "storage.assume_role_arn: String should match pattern"),
        ("assume_role_arn: 'arn:aws:iam::123456789012:user/x'", "storage.assume_role_arn: String should match"),
    ],
)
def test_mistakes(storage: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_text(f"storage: {{bucket: a-a, {storage}}}", "c.yaml")
    assert [f"{one.key}: {one.message}".startswith(said) for one in caught.value.problems] == [True]
