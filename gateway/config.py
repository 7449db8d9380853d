"""Every setting: its name, type, default, and one line of help."""

import math
import re
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr

_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}|arn:[^/\s]+[:/].+")
_BACKEND = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


def _mount_prefix(text: str) -> str:
    """`x/y/`, `/x/y` and `/x/y/` are one; the root is the empty text."""
    return "/" + text.strip("/") if text.strip("/") else ""


def _key_prefix(text: str) -> str:
    text = text.lstrip("/")
    return text if not text or text.endswith("/") else text + "/"


def _index_document(text: str) -> str:
    if not text or "/" in text or text in (".", ".."):
        raise ValueError("must be a file name, without a slash")
    return text


def _backend(text: str) -> str:
    if text == "cloudfront":
        raise ValueError("is not available in this version; use s3")
    if text not in ("file", "s3") and not _BACKEND.fullmatch(text):
        raise ValueError("must be file, s3, or package.module:Class")
    return text


def _bucket(text: str) -> str:
    if not _BUCKET.fullmatch(text):
        raise ValueError("must be a bucket's name or ARN, without s3:// and without a path")
    return text


def _endpoint_url(text: str) -> str:
    parts = urlsplit(text)
    sound = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0  # a bad port raises ValueError
    if not sound or parts.query or parts.fragment or "@" in parts.netloc or re.search(r"\s", text):
        raise ValueError("must be an address like https://host or http://host:port")
    return text


def _readable(path: Path) -> Path:
    try:
        path.open("rb").close()
    except OSError as error:
        raise ValueError(f"can't be read: {error.strerror}") from None
    return path


def _finite(seconds: float) -> float:
    if not math.isfinite(seconds):
        raise ValueError("must be a number of seconds")
    return seconds


def _not_empty(value: Any) -> Any:
    """An empty host would listen on every interface, an empty path mean the working directory."""
    if value == "":
        raise ValueError("is empty; leave it out for the default")
    return value


def _network(value: Any) -> IPv4Network | IPv6Network:
    return ip_network(str(value))  # text, because ip_network takes a number too: 10 is not 10.0.0.0/8


def _comma_separated(value: Any) -> Any:
    return [item.strip() for item in value.split(",") if item.strip()] if isinstance(value, str) else value


MountPrefix = Annotated[str, AfterValidator(_mount_prefix)]
Seconds = Annotated[float, Field(gt=0), AfterValidator(_finite)]
ReadableFile = Annotated[Path, AfterValidator(_readable)]
Network = Annotated[IPv4Network | IPv6Network, BeforeValidator(_network)]
Networks = Annotated[list[Network], BeforeValidator(_comma_separated)]
NotEmpty = BeforeValidator(_not_empty)


class Section(BaseModel):
    """Part of the settings. Unknown keys are errors; values don't change; secrets don't show."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class ServerSettings(Section):
    """How clients reach the gateway."""

    host: Annotated[str, NotEmpty] = Field("127.0.0.1", description="Address to listen on; 0.0.0.0 or :: for all")
    port: int = Field(8080, ge=0, le=65535, description="Port to listen on; 0 takes any free one")
    unix_socket: Annotated[Path, NotEmpty] | None = Field(
        None, description="Unix socket to listen on, instead of host and port"
    )
    workers: int = Field(1, ge=1, le=256, description="Processes; more than one needs the extra gateway[workers]")
    base_path: MountPrefix = Field("", description="Path under which another proxy mounts the gateway")
    tls_cert: ReadableFile | None = Field(None, description="PEM file of the certificate chain; serves HTTPS directly")
    tls_key: ReadableFile | None = Field(None, description="PEM file of its private key")
    trusted_proxies: Networks = Field([], description="Networks whose X-Forwarded-For is believed")
    shutdown_grace: Annotated[float, Field(ge=0), AfterValidator(_finite)] = Field(
        30.0, description="Seconds that requests in flight may take to finish after SIGTERM"
    )
    header_timeout: Seconds = Field(15.0, description="Seconds within which a request's head must arrive")
    keepalive_timeout: Seconds = Field(75.0, description="Seconds that an idle connection is kept")
    send_timeout: Seconds = Field(60.0, description="Seconds after which a client that takes no byte is disconnected")
    max_connections: int = Field(1024, ge=1, description="Client connections at once, per worker; more get 503")
    max_target_bytes: int = Field(8190, ge=256, le=65536, description="Longest request target; longer ones get 414")
    max_header_bytes: int = Field(16380, ge=1024, le=65536, description="Longest header; longer ones get 431")


class StorageSettings(Section):
    """Where the objects are."""

    backend: Annotated[str, AfterValidator(_backend)] | None = Field(
        None, description="file, s3, or package.module:Class; unset: s3 if a bucket is set, else file"
    )
    dir: Annotated[Path, NotEmpty] = Field(Path("packages"), description="Directory that the file backend serves")
    bucket: Annotated[str, AfterValidator(_bucket)] | None = Field(
        None, description="Bucket's name, or an access point's ARN"
    )
    prefix: Annotated[str, AfterValidator(_key_prefix)] = Field("", description="Put before every key, like pypi/")
    region_name: str | None = Field(None, description="Bucket's region; unset: as AWS's configuration says, or learnt")
    profile_name: str | None = Field(None, description="Profile of AWS's shared configuration to use")
    aws_access_key_id: str | None = Field(None, description="Static credentials; unset: botocore's whole chain")
    aws_secret_access_key: SecretStr | None = Field(None, description="Secret of aws_access_key_id")
    aws_session_token: SecretStr | None = Field(None, description="Session token, for temporary static credentials")
    endpoint_url: Annotated[str, AfterValidator(_endpoint_url)] | None = Field(
        None, description="Address of another S3 (MinIO, Ceph, SeaweedFS …)"
    )
    addressing_style: Literal["auto", "virtual", "path"] = Field(
        "auto", description="Bucket in the host name or in the path"
    )
    use_accelerate_endpoint: bool = Field(False, description="Use S3 Transfer Acceleration")
    use_dualstack_endpoint: bool | None = Field(
        None, description="Use IPv6-capable endpoints; unset: as AWS's configuration says"
    )
    use_fips_endpoint: bool | None = Field(None, description="Use FIPS endpoints; unset: as AWS's configuration says")
    connect_timeout: Seconds = Field(5.0, description="Seconds to connect to the storage")
    read_timeout: Seconds = Field(30.0, description="Seconds between two reads from it; also the budget for retries")
    max_pool_connections: int = Field(1024, ge=1, description="Connections to the storage at once, per worker")
    max_attempts: int = Field(
        5, ge=1, le=20, description="Tries of a request that the storage fails, the first included"
    )
    verify: bool | ReadableFile = Field(
        True,
        description="Check the storage's certificate: true, false, or a CA bundle's path",
        union_mode="left_to_right",
    )

    @property
    def resolved_backend(self) -> str:
        return self.backend or ("s3" if self.bucket else "file")


class RewriteSettings(Section):
    """How paths become keys."""

    strip_prefix: MountPrefix = Field("", description="Taken off the front of a path, where it is there")
    add_prefix: MountPrefix = Field("", description="Put before a path, after strip_prefix")
    index_document: Annotated[str, AfterValidator(_index_document)] = Field(
        "index.html", description="What a path that ends in / stands for"
    )


class OpsSettings(Section):
    """Health and metrics."""

    path_prefix: MountPrefix = Field("", description="Where /health, /ready and /metrics are")
    port: int | None = Field(
        None, ge=0, le=65535, description="A port of their own, on server.host; unset: on the main one"
    )
    ready_seconds: Annotated[float, Field(ge=0), AfterValidator(_finite)] = Field(
        5.0, description="Seconds that an answer of /ready is reused"
    )


class LogSettings(Section):
    """What is written, and how."""

    level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level that is logged")
    format: Literal["text", "json"] = Field("text", description="text or json")
    access: bool = Field(True, description="One line for each request, on standard output")


class Settings(Section):
    """All settings, a section each."""

    server: ServerSettings = ServerSettings()
    storage: StorageSettings = StorageSettings()
    rewrite: RewriteSettings = RewriteSettings()
    ops: OpsSettings = OpsSettings()
    log: LogSettings = LogSettings()


SECTIONS: dict[str, type[Section]] = {
    name: field.annotation for name, field in Settings.model_fields.items() if isinstance(field.annotation, type)
}


def cross_checks(settings: Settings) -> list[tuple[str, str, str]]:
    """Mistakes that no single setting makes: the key to name, what is wrong, and the other key it is held against."""
    server, storage = settings.server, settings.storage
    found = []
    if server.tls_cert and not server.tls_key:
        found.append(("server.tls_key", "is needed with server.tls_cert", "server.tls_cert"))
    if server.tls_key and not server.tls_cert:
        found.append(("server.tls_cert", "is needed with server.tls_key", "server.tls_key"))
    key_id, secret = "storage.aws_access_key_id", "storage.aws_secret_access_key"
    if storage.aws_access_key_id and not storage.aws_secret_access_key:
        found.append((secret, f"is needed with {key_id}", key_id))
    if storage.aws_secret_access_key and not storage.aws_access_key_id:
        found.append((key_id, f"is needed with {secret}", secret))
    if storage.aws_session_token and not storage.aws_access_key_id:
        found.append((key_id, "is needed with storage.aws_session_token", "storage.aws_session_token"))
    if storage.backend == "s3" and not storage.bucket:
        message = "is needed by the s3 backend; set it in the file, or GATEWAY_STORAGE__BUCKET"
        found.append(("storage.bucket", message, "storage.backend"))
    if storage.use_accelerate_endpoint and storage.addressing_style == "path":
        message = "can't be path with storage.use_accelerate_endpoint"
        found.append(("storage.addressing_style", message, "storage.use_accelerate_endpoint"))
    if settings.ops.port and settings.ops.port == server.port and not server.unix_socket:
        found.append(("ops.port", "is server.port already; choose another, or leave it unset", "server.port"))
    return found
