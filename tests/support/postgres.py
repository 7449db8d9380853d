"""A PostgreSQL of its own on loopback, with scram passwords and without fsync."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

from tests.support.certificates import self_signed
from tests.support.ports import free_ports, listens

USER, PASSWORD = "gateway", "p0stgres hunter2"
_START_SECONDS = 30


def unavailable() -> str | None:
    """Why it can't be started here."""
    return None if _programs() else "PostgreSQL's initdb is not installed"


def _programs() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return found[-1].parent if found else None


def _other_user() -> dict[str, Any]:
    """PostgreSQL does not run as root."""
    if os.getuid() != 0:
        return {}
    names = {entry.pw_name for entry in pwd.getpwall()}
    name = "postgres" if "postgres" in names else "nobody"
    return {"user": name, "group": pwd.getpwnam(name).pw_gid, "extra_groups": []}


class Postgres:
    def __init__(self) -> None:
        programs, user = _programs(), _other_user()
        assert programs is not None
        # Not in pytest's directory, which only its own user may enter.
        self._directory = Path(tempfile.mkdtemp(prefix="gateway-postgres-"))
        data, log = self._directory / "data", self._directory / "log"
        secret = self._directory / "password"
        secret.write_text(PASSWORD)
        self.certificate, key = self_signed(self._directory)
        if user:
            for path in (self._directory, secret, key, self.certificate):
                shutil.chown(path, user["user"], user["group"])
        key.chmod(0o600)
        self.port = free_ports(1)[0]
        options = ["-U", USER, f"--pwfile={secret}", "-A", "scram-sha-256", "-E", "UTF8", "--locale=C", "--no-sync"]
        make = [str(programs / "initdb"), "-D", str(data), *options]
        subprocess.run(make, check=True, capture_output=True, cwd="/", **user)
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "fsync": "off",
            "ssl": "on",
            "ssl_cert_file": str(self.certificate),
            "ssl_key_file": str(key),
        }
        given = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with log.open("wb") as output:
            command = [str(programs / "postgres"), "-D", str(data), *given]
            self._process = subprocess.Popen(command, stdout=output, stderr=output, cwd="/", **user)
        until = time.monotonic() + _START_SECONDS
        while not listens(self.port) or b"ready to accept" not in log.read_bytes():
            if self._process.poll() is not None or time.monotonic() > until:
                text = log.read_text()[-2000:]
                self.stop()
                raise RuntimeError(f"PostgreSQL does not start: {text}")
            time.sleep(0.02)

    def url(self, password: str = PASSWORD) -> str:
        return f"postgresql://{USER}:{quote(password)}@127.0.0.1:{self.port}/postgres"

    def stop(self) -> None:
        self._process.send_signal(signal.SIGINT)  # does not wait for clients
        self._process.wait(20)
        shutil.rmtree(self._directory)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()
