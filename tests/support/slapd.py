"""OpenLDAP's server, with a directory of its own on loopback."""

import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import ldap3

from tests.support.certificates import self_signed
from tests.support.ports import free_ports, listens

SUFFIX = "dc=example,dc=org"
ROOT, ROOT_PASSWORD = f"cn=root,{SUFFIX}", "the root's password"
_START_SECONDS = 20
_CONFIGURATION = """
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload memberof
pidfile {directory}/pid
TLSCertificateFile {certificate}
TLSCertificateKeyFile {key}
# So that what must not be asked would be answered: a bind without a password succeeds.
allow bind_anon_cred bind_anon_dn
database mdb
suffix {suffix}
rootdn "{root}"
rootpw "{password}"
directory {directory}/data
overlay memberof
access to attrs=userPassword by anonymous auth by * none
access to dn.subtree="ou=hidden,{suffix}" by dn.exact="cn=gateway,{suffix}" read by anonymous auth by * none
access to * by * read
"""


def unavailable() -> str | None:
    """Why it can't be started here."""
    return None if _program() else "slapd is not installed"


def _program() -> str | None:
    return shutil.which("slapd", path="/usr/sbin:/usr/local/sbin:/usr/bin")


class Slapd:
    """`url` takes StartTLS, `tls_url` needs TLS; `certificate` is that of both."""

    def __init__(self, directory: Path) -> None:
        plain, secure = free_ports(2)
        self.host = f"127.0.0.1:{plain}"
        self.url, self.tls_url = f"ldap://{self.host}", f"ldaps://127.0.0.1:{secure}"
        self.certificate, key = self_signed(directory)
        (directory / "data").mkdir()
        configuration = directory / "slapd.conf"
        configuration.write_text(
            _CONFIGURATION.format(
                directory=directory,
                certificate=self.certificate,
                key=key,
                suffix=SUFFIX,
                root=ROOT,
                password=ROOT_PASSWORD,
            )
        )
        command = [_program() or "slapd", "-h", f"{self.url} {self.tls_url}", "-f", str(configuration), "-d", "0"]
        with (directory / "log").open("wb") as output:
            self._process = subprocess.Popen(command, stdout=output, stderr=output)
        until = time.monotonic() + _START_SECONDS
        while not (listens(plain) and listens(secure)):
            if self._process.poll() is not None or time.monotonic() > until:
                self.stop()
                raise RuntimeError(f"slapd does not start: {(directory / 'log').read_text()[-2000:]}")
            time.sleep(0.02)
        server = ldap3.Server(self.url, get_info=ldap3.NONE)
        self._root = ldap3.Connection(server, ROOT, ROOT_PASSWORD, auto_bind=True, raise_exceptions=True)

    def add(self, dn: str, kinds: Sequence[str], **fields: Any) -> None:
        self._root.add(dn, [*kinds], fields)

    def remove(self, dn: str) -> None:
        self._root.delete(dn)

    def fill(self, entries: Mapping[str, tuple[Sequence[str], Mapping[str, Any]]]) -> None:
        for dn, (kinds, fields) in entries.items():
            self.add(dn, kinds, **fields)

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(10)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._root.strategy.close()
        self.stop()
