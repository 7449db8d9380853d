"""The settings of a database that knows the users."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr

from gateway.config.section import Section
from gateway.config.types import ReadableFile, Refused, Seconds

_KINDS = ("postgresql", "postgres", "sqlite")


def _database_url(url: SecretStr) -> SecretStr:
    kind = url.get_secret_value().partition("://")[0].partition("+")[0]
    if "://" not in url.get_secret_value() or kind not in _KINDS:
        raise Refused("must be an address like postgresql://user:password@host/database or sqlite:////path")
    return url


DatabaseUrl = Annotated[SecretStr, AfterValidator(_database_url)]


class SqlSettings(Section):
    """A database with pypicloud's tables, which knows the users; needs the extra s3-package-gateway[sql]."""

    url: DatabaseUrl = Field(
        description="postgresql://user:password@host/database, postgresql:///database?host=/socket/directory, or "
        "sqlite:////path; drivers in it are ignored"
    )
    tls: Literal["verify", "off"] = Field(
        "verify", description="For PostgreSQL over TCP: verify: TLS, with a certificate that is checked; off: in clear"
    )
    ca_file: ReadableFile | None = Field(
        None, description="PEM file of the certificates that the server's must come from; unset: the system's"
    )
    timeout: Seconds = Field(5.0, le=5, description="Seconds that the database may take to answer about one password")
