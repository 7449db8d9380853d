"""OpenStack Swift with its S3 API: the strictest judge of signatures there is on PyPI. Loopback, one replica."""

import getpass
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from gateway.cli.demo.seaweed import _free_ports

_LAUNCHER = Path(__file__).with_name("swift_launcher.py")
_START_TIMEOUT_SECONDS = 90.0

_PROXY = """
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
workers = 0
user = {user}
swift_dir = {etc}
log_level = WARNING
[pipeline:main]
pipeline = catch_errors gatekeeper healthcheck cache listing_formats bulk s3api tempauth copy slo dlo \
versioned_writes symlink proxy-server
[app:proxy-server]
use = egg:swift#proxy
allow_account_management = true
account_autocreate = true
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:gatekeeper]
use = egg:swift#gatekeeper
[filter:healthcheck]
use = egg:swift#healthcheck
[filter:cache]
use = egg:swift#memcache
memcache_servers =
[filter:listing_formats]
use = egg:swift#listing_formats
[filter:bulk]
use = egg:swift#bulk
[filter:s3api]
use = egg:swift#s3api
location = us-east-1
s3_acl = false
check_bucket_owner = false
[filter:tempauth]
use = egg:swift#tempauth
user_gw_gw = {secret} .admin .reseller_admin
[filter:copy]
use = egg:swift#copy
[filter:slo]
use = egg:swift#slo
[filter:dlo]
use = egg:swift#dlo
[filter:versioned_writes]
use = egg:swift#versioned_writes
allow_object_versioning = true
[filter:symlink]
use = egg:swift#symlink
"""
_STORE = """
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
workers = 0
user = {user}
swift_dir = {etc}
devices = {node}
mount_check = false
disable_fallocate = true
log_level = WARNING
[pipeline:main]
pipeline = {kind}-server
[app:{kind}-server]
use = egg:swift#{kind}
"""
_COMMON = """
[swift-hash]
swift_hash_path_prefix = gateway
swift_hash_path_suffix = gateway
[storage-policy:0]
name = one
default = yes
"""


class Swift:
    """A context manager. While it is entered, S3 answers at `endpoint_url` to the one key that there is."""

    region = "us-east-1"
    access_key = "gw:gw"
    secret_key = "secret-of-swift-0123456789"

    def __init__(self) -> None:
        self.endpoint_url = ""
        self._launcher: subprocess.Popen[bytes] | None = None
        self._directory: Path | None = None

    @staticmethod
    def unavailable() -> str | None:
        """Why it can't run here, if it can't."""
        with tempfile.NamedTemporaryFile() as file:
            try:
                os.setxattr(file.name, "user.gateway", b"1")
            except OSError as error:
                return f"Swift needs user xattrs on {tempfile.gettempdir()}: {error}"
        return None

    def __enter__(self) -> Self:
        self._directory = directory = Path(tempfile.mkdtemp(prefix="gateway-swift-"))
        try:
            etc, node = directory / "etc", directory / "node"
            etc.mkdir()
            (node / "d1").mkdir(parents=True)
            (etc / "swift.conf").write_text(_COMMON)
            ports = dict(zip(("account", "container", "object", "proxy"), _free_ports(4), strict=True))
            values = {"user": getpass.getuser(), "etc": etc, "node": node, "secret": self.secret_key}
            for kind, port in ports.items():
                template = _PROXY if kind == "proxy" else _STORE
                (etc / f"{kind}.conf").write_text(template.format(kind=kind, port=port, **values))
            command = [sys.executable, "-P", "-W", "ignore", str(_LAUNCHER), str(etc)]
            command += [f"{kind}={port}" for kind, port in ports.items()]
            with (directory / "launcher.log").open("wb") as log:
                self._launcher = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
            self.endpoint_url = f"http://127.0.0.1:{ports['proxy']}"
            self._wait_until_it_answers(directory)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._launcher is not None:
            self._launcher.terminate()
            self._launcher.wait()
        if self._directory is not None:
            shutil.rmtree(self._directory, ignore_errors=True)

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
            config=Config(s3={"addressing_style": "path"}, request_checksum_calculation="when_required"),
        )

    def _wait_until_it_answers(self, directory: Path) -> None:
        deadline = time.monotonic() + _START_TIMEOUT_SECONDS
        while time.monotonic() < deadline and self._launcher is not None and self._launcher.poll() is None:
            try:
                with urllib.request.urlopen(f"{self.endpoint_url}/healthcheck", timeout=5) as answer:
                    if answer.read() == b"OK":
                        return
            except OSError:
                time.sleep(0.1)
        logs = "\n".join(log.read_text(errors="replace")[-1000:] for log in directory.glob("*.log"))
        raise RuntimeError(f"Swift did not start:\n{logs}")
