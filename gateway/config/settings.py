"""Every setting: its name, type, default, and one line of help."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr

from gateway.config.section import Section
from gateway.config.storage_settings import StorageSettings
from gateway.config.types import (
    EndpointUrl,
    Hosts,
    IndexDocument,
    MountPrefix,
    Networks,
    NonNegativeSeconds,
    NotEmpty,
    ProjectUrls,
    ReadableFile,
    Seconds,
    Size,
    Words,
)


class ServerSettings(Section):
    """How clients reach the gateway."""

    host: Annotated[str, NotEmpty] = Field("127.0.0.1", description="Address to listen on; 0.0.0.0 or :: for all")
    port: int = Field(8080, ge=0, le=65535, description="Port to listen on; 0 takes any free one")
    unix_socket: Annotated[Path, NotEmpty] | None = Field(
        None, description="Unix socket to listen on, instead of host and port"
    )
    workers: int = Field(
        1, ge=1, le=256, description="Processes; more than one needs the extra s3-package-gateway[workers]"
    )
    base_path: MountPrefix = Field("", description="Path under which another proxy mounts the gateway")
    public_url: EndpointUrl | None = Field(
        None, description="Address that clients know the gateway by, with its path; unset: as each request says"
    )
    tls_cert: ReadableFile | None = Field(None, description="PEM file of the certificate chain; serves HTTPS directly")
    tls_key: ReadableFile | None = Field(None, description="PEM file of its private key")
    trusted_proxies: Networks = Field([], description="Networks whose X-Forwarded-For is believed")
    shutdown_grace: NonNegativeSeconds = Field(
        30.0, description="Seconds that requests in flight may take to finish after SIGTERM"
    )
    header_timeout: Seconds = Field(15.0, description="Seconds within which a request's head must arrive")
    answer_timeout: Seconds = Field(
        12.0, description="Seconds within which a request is answered, be the storage up or down; pip gives up after 15"
    )
    keepalive_timeout: Seconds = Field(75.0, description="Seconds that an idle connection is kept")
    send_timeout: Seconds = Field(60.0, description="Seconds after which a client that takes no byte is disconnected")
    max_connections: int = Field(
        1024, ge=1, description="Client connections at once, per worker; the longest idle makes room, else more get 503"
    )
    max_connections_per_peer: int = Field(
        512, ge=1, description="The same for one address (IPv6: /64), but for trusted_proxies and a Unix socket"
    )
    max_target_bytes: Size = Field(8190, ge=256, le=65536, description="Longest request target; longer ones get 414")
    max_header_bytes: Size = Field(
        32768, ge=1024, le=65536, description="Headers of a request, all together; longer ones get 431"
    )


class RewriteSettings(Section):
    """How paths become keys."""

    strip_prefix: MountPrefix = Field("", description="Taken off the front of a path, where it is there")
    add_prefix: MountPrefix = Field("", description="Put before a path, after strip_prefix")
    index_document: IndexDocument = Field("index.html", description="What a path that ends in / stands for")


class IndexSettings(Section):
    """Pages of projects and their files."""

    mode: Literal["auto", "static", "generated", "off"] = Field(
        "auto", description="Pages stored in the bucket (static), made from its listing (generated), or what there is"
    )
    layout: Literal["auto", "project", "flat"] = Field(
        "auto",
        description="project: a folder for each project; flat: files lie anywhere, and are told by their names; "
        "auto: flat if package files lie at the top, else project",
    )
    refresh: NonNegativeSeconds = Field(30.0, description="Seconds that a listing is used; SIGHUP drops them at once")
    memory_bytes: Size = Field(
        16 * 1024 * 1024,
        ge=1024 * 1024,
        description="Memory for listings, pages, hashes, metadata of wheels and pages of the other index, per worker",
    )
    browse: bool = Field(True, description="Show people, by their browsers, a page made for them at / and /project/")
    remote_images: bool = Field(
        False,
        description="Let browsers fetch the https images of READMEs, whose hosts learn who looks at which project",
    )
    compute_hashes: bool = Field(
        True, description="Hash files whose SHA-256 nothing tells, in the background: reads each whole, once"
    )
    share_metadata: bool = Field(
        False,
        description="Keep hashes and Requires-Python that were found out in the storage too, under .gateway/, so that "
        "all gateways find them out once; needs leave to write there",
    )
    tracks: ProjectUrls = Field(
        {}, description="Of which projects of other indexes ours are copies, by project (PEP 708, rejected in 2026)"
    )
    alternate_locations: ProjectUrls = Field(
        {}, description="Where else ours are, by project (PEP 708, rejected in 2026)"
    )


class FallbackSettings(Section):
    """Another index, for projects that the storage does not have."""

    mode: Literal["none", "redirect", "cache", "mirror"] = Field(
        "none",
        description="redirect, cache (keep files among your own), mirror (show all it has, keep files in .mirror/)",
    )
    base_url: EndpointUrl = Field("https://pypi.org/simple/", description="The other index")
    always_show_upstream: bool = Field(
        False, description="Show its files also on pages of projects that the storage has; no file is shown twice"
    )
    max_file_bytes: Size = Field(4 * 1024**3, ge=1, description="Largest file that is fetched from there")
    temp_bytes: Size = Field(
        8 * 1024**3,
        ge=1,
        description="Most that such files take of the temporary directory at once, per worker",
    )
    allow_hosts: Hosts = Field(
        [], description="Hosts with internal addresses that its links may lead to, as host or host:port; its own may"
    )
    disallow: Words = Field([], description="Projects that are never looked for there: names or patterns like acme-*")
    max_age: int = Field(
        0, ge=0, description="Seconds that clients may keep its pages without asking; 0: they ask each time"
    )


class CacheSettings(Section):
    """What is kept, so that it need not be fetched again, and for when the storage can't be reached."""

    memory_bytes: Size = Field(
        16 * 1024 * 1024,
        ge=0,
        description="Memory for small objects, absences and whole replies, per worker; 0: none is kept",
    )
    object_max_bytes: Size = Field(1024 * 1024, ge=0, description="Largest object that is kept in memory")
    dir: Annotated[Path, NotEmpty] | None = Field(
        None, description="Directory for objects of any size, kept over restarts; unset: none is kept on disk"
    )
    disk_bytes: Size = Field(
        10 * 1024**3, ge=1024 * 1024, description="Most that cache.dir may take; no object gets more than a quarter"
    )
    index_ttl: NonNegativeSeconds = Field(
        30.0, description="Seconds that a stored page, or what is no package file, is used without asking the bucket"
    )
    file_ttl: NonNegativeSeconds = Field(
        3600.0, description="As index_ttl, for package files; a listing that shows another ETag ends it at once"
    )
    negative_ttl: NonNegativeSeconds = Field(5.0, description="Seconds that an object's absence is believed")
    allow_bypass: bool = Field(False, description="Let clients have Cache-Control: no-cache honoured")
    immutable_files: bool = Field(
        False, description="Package files never change under their names: clients may keep them for a year unasked"
    )
    prefetch: bool = Field(
        False, description="When an installer asks for a page, fetch ahead what it is likely to ask for next"
    )
    stale_if_error: NonNegativeSeconds = Field(
        86400.0, description="Seconds longer that what is known is served while the storage can't be reached"
    )

    @property
    def replies_bytes(self) -> int:
        """Of `memory_bytes`, for whole replies, which live for a second."""
        return self.memory_bytes // 8

    @property
    def objects_bytes(self) -> int:
        """Of `memory_bytes`, for objects and absences."""
        return self.memory_bytes - self.replies_bytes


class ParallelSettings(Section):
    """Large objects are fetched in parts side by side, where a connection to the storage is slower than the client."""

    min_bytes: Size = Field(32 * 1024 * 1024, ge=0, description="Bytes from which an object is large")
    connections: int = Field(8, ge=1, le=64, description="Connections for one object at once; 1: never in parts")
    memory_bytes: Size = Field(
        32 * 1024 * 1024,
        ge=1024 * 1024,
        description="Memory for bytes on their way: parts that arrive ahead of their turn, small objects; per worker",
    )


class OpsSettings(Section):
    """Health and metrics."""

    path_prefix: MountPrefix = Field("", description="Where /health, /ready and /metrics are")
    port: int | None = Field(
        None, ge=0, le=65535, description="A port of their own, on server.host; unset: on the main one"
    )
    admin_token: SecretStr | None = Field(
        None, description="Bearer token of POST /-/refresh, which drops listings; unset: no such route"
    )
    ready_ttl: NonNegativeSeconds = Field(5.0, description="Seconds that an answer of /ready is reused")


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
    index: IndexSettings = IndexSettings()
    fallback: FallbackSettings = FallbackSettings()
    cache: CacheSettings = CacheSettings()
    parallel: ParallelSettings = ParallelSettings()
    ops: OpsSettings = OpsSettings()
    log: LogSettings = LogSettings()


SECTIONS: dict[str, type[Section]] = {
    name: field.annotation for name, field in Settings.model_fields.items() if isinstance(field.annotation, type)
}
