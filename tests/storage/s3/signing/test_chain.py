"""botocore's chain against stand-ins for AWS on loopback."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha1
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from gateway.errors import CredentialsError
from gateway.messages import Credentials
from gateway.storage.s3.signing.credentials import chain

EXPIRY = (datetime.now(UTC) + timedelta(hours=6)).replace(microsecond=0)
EXPIRY_TEXT = EXPIRY.strftime("%Y-%m-%dT%H:%M:%SZ")
TEMPORARY = {"AccessKeyId": "ASIATEMP", "SecretAccessKey": "secret", "Token": "token", "Expiration": EXPIRY_TEXT}
ROLE = "arn:aws:iam::123456789012:role/gateway"

DENIED = threading.Event()


class Aws(BaseHTTPRequestHandler):
    """Instance metadata, a container's credentials, STS and SSO, as far as botocore asks."""

    def do_PUT(self) -> None:
        assert self.path == "/latest/api/token"
        self._send("metadata-token")

    def do_GET(self) -> None:
        if self.path == "/container":
            assert self.headers["Authorization"] == "pod-token"
            return self._send(json.dumps(TEMPORARY))
        if self.path.startswith("/federation/credentials"):
            assert self.headers["x-amz-sso_bearer_token"] == "sso-token"
            role = {"accessKeyId": "ASIASSO", "secretAccessKey": "s", "sessionToken": "t"}
            return self._send(json.dumps({"roleCredentials": role | {"expiration": int(EXPIRY.timestamp() * 1000)}}))
        assert self.headers["x-aws-ec2-metadata-token"] == "metadata-token"
        if self.path.endswith("/security-credentials/"):
            return self._send("the-role")
        return self._send(json.dumps(TEMPORARY | {"Code": "Success", "Type": "AWS-HMAC"}))

    def do_POST(self) -> None:
        if DENIED.is_set():
            return self._send("<ErrorResponse><Error><Code>AccessDenied</Code></Error></ErrorResponse>", 403)
        action = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())["Action"][0]
        fields = {
            "AccessKeyId": f"ASIA{action}",
            "SecretAccessKey": "s",
            "SessionToken": "t",
            "Expiration": EXPIRY_TEXT,
        }
        inner = "".join(f"<{name}>{value}</{name}>" for name, value in fields.items())
        user = f"<AssumedRoleUser><AssumedRoleId>A:b</AssumedRoleId><Arn>{ROLE}</Arn></AssumedRoleUser>"
        return self._send(
            f'<{action}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><{action}Result>'
            f"<Credentials>{inner}</Credentials>{user}</{action}Result></{action}Response>"
        )

    def _send(self, text: str, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def aws() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Aws) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, aws: str) -> pytest.MonkeyPatch:
    """No credentials anywhere. botocore reads the process's own environment, so that is what has to be emptied."""
    for name in list(os.environ):
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", aws)
    monkeypatch.setenv("AWS_ENDPOINT_URL_SSO", aws)
    (tmp_path / ".aws").mkdir()
    return monkeypatch


def write(home: Path, name: str, text: str) -> None:
    (home / ".aws" / name).write_text(text)


def test_environment(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("AWS_ACCESS_KEY_ID", "AKIDENV")
    environment.setenv("AWS_SECRET_ACCESS_KEY", "s")
    environment.setenv("AWS_SESSION_TOKEN", "t")
    assert chain()() == Credentials("AKIDENV", "s", "t", provider="env")


def test_shared_credentials_are_read_afresh_each_time(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    load = chain(profile_name="packages")
    write(tmp_path, "credentials", "[packages]\naws_access_key_id = AKIDONE\naws_secret_access_key = s\n")
    assert load() == Credentials("AKIDONE", "s", provider="shared-credentials-file")
    write(tmp_path, "credentials", "[packages]\naws_access_key_id = AKIDTWO\naws_secret_access_key = s\n")
    assert load().access_key == "AKIDTWO"


def test_process(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    answer = json.dumps({"Version": 1, "SessionToken": "token", **{k: v for k, v in TEMPORARY.items() if k != "Token"}})
    script = tmp_path / "provider.py"
    script.write_text(f"print({answer!r})")
    write(tmp_path, "config", f"[default]\ncredential_process = {sys.executable} {script}\n")
    assert chain()() == Credentials("ASIATEMP", "secret", "token", "custom-process", EXPIRY.timestamp())


def test_container_and_eks_pod_identity(environment: pytest.MonkeyPatch, tmp_path: Path, aws: str) -> None:
    (tmp_path / "token").write_text("pod-token")
    environment.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{aws}/container")
    environment.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", str(tmp_path / "token"))
    assert chain()() == Credentials("ASIATEMP", "secret", "token", "container-role", EXPIRY.timestamp())


def test_instance_metadata(environment: pytest.MonkeyPatch, aws: str) -> None:
    environment.delenv("AWS_EC2_METADATA_DISABLED")
    environment.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", aws)
    assert chain()() == Credentials("ASIATEMP", "secret", "token", "iam-role", EXPIRY.timestamp())


def test_web_identity(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("a.jwt.token")
    environment.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))
    environment.setenv("AWS_ROLE_ARN", ROLE)
    loaded = chain()()
    assert (loaded.access_key, loaded.provider) == ("ASIAAssumeRoleWithWebIdentity", "assume-role-with-web-identity")
    assert loaded.expires_at == EXPIRY.timestamp()


def test_assumed_role(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    write(tmp_path, "config", f"[profile packages]\nrole_arn = {ROLE}\nsource_profile = base\n")
    write(tmp_path, "credentials", "[base]\naws_access_key_id = AKIDBASE\naws_secret_access_key = s\n")
    loaded = chain(profile_name="packages")()
    assert (loaded.access_key, loaded.provider) == ("ASIAAssumeRole", "assume-role")
    assert loaded.expires_at == EXPIRY.timestamp()


def test_a_role_that_may_not_be_assumed_is_reported(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    write(tmp_path, "config", f"[profile packages]\nrole_arn = {ROLE}\nsource_profile = base\n")
    write(tmp_path, "credentials", "[base]\naws_access_key_id = AKIDBASE\naws_secret_access_key = s\n")
    DENIED.set()
    try:
        with pytest.raises(CredentialsError, match="AccessDenied"):
            chain(profile_name="packages")()
    finally:
        DENIED.clear()


def test_credentials_that_have_expired_when_they_come_are_reported(
    environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    answer = {"Version": 1, "SessionToken": "t", **{k: v for k, v in TEMPORARY.items() if k != "Token"}}
    script = tmp_path / "provider.py"
    script.write_text(f"print({json.dumps(answer | {'Expiration': '2020-01-01T00:00:00Z'})!r})")
    write(tmp_path, "config", f"[default]\ncredential_process = {sys.executable} {script}\n")
    with pytest.raises(CredentialsError, match="expired"):
        chain()()


def test_single_sign_on(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    start = "https://example.awsapps.com/start"
    lines = [f"sso_start_url = {start}", "sso_region = us-east-1", "sso_account_id = 1", "sso_role_name = r"]
    write(tmp_path, "config", "[default]\n" + "\n".join(lines) + "\n")
    cache = tmp_path / ".aws" / "sso" / "cache"
    cache.mkdir(parents=True)
    token = {"startUrl": start, "accessToken": "sso-token", "expiresAt": EXPIRY_TEXT}
    name = sha1(start.encode(), usedforsecurity=False).hexdigest()
    (cache / f"{name}.json").write_text(json.dumps(token))
    # In a process of its own: botocore looks for the home directory once, when it is imported.
    module = "gateway.storage.s3.signing.credentials"
    script = f"from {module} import chain; c = chain()(); print(c.access_key, c.provider, c.expires_at)"
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert found.split() == ["ASIASSO", "sso", str(EXPIRY.timestamp())]


def test_nothing_found_says_what_to_do(environment: pytest.MonkeyPatch) -> None:
    with pytest.raises(CredentialsError, match=r"no AWS credentials found .* set storage\.aws_access_key_id"):
        chain()()


def test_an_unknown_profile_is_named(environment: pytest.MonkeyPatch) -> None:
    with pytest.raises(CredentialsError, match="typo"):
        chain(profile_name="typo")()


def test_a_failing_process_is_reported(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    write(tmp_path, "config", f"[default]\ncredential_process = {sys.executable} -c exit(3)\n")
    with pytest.raises(CredentialsError, match="custom-process"):
        chain()()
