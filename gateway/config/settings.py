"""Every setting: its name, type, default, and one line of help."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, PrivateAttr, SecretStr

from gateway.config.access.settings import AccessSettings
from gateway.config.cache_settings import CacheSettings, ParallelSettings
from gateway.config.cors.settings import CorsSettings
from gateway.config.file_state import FileState, file_state
from gateway.config.mounts.settings import NAMES_OF_PLACES, MountSettings
from gateway.config.policy.settings import PolicySettings
from gateway.config.publish.settings import PublishSettings
from gateway.config.section import Section
from gateway.config.site.settings import SiteSettings
from gateway.config.storage_settings import StorageSettings
from gateway.config.tracing.settings import TracingSettings
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
        None, description="URL at which clients reach the gateway, with its path; unset: taken from each request"
    )
    tls_cert: ReadableFile | None = Field(
        None, description="PEM file of the certificate chain, followed when it changes; serves HTTPS directly"
    )
    tls_key: ReadableFile | None = Field(None, description="PEM file of its private key")
    trusted_proxies: Networks = Field([], description="Networks of proxies whose X-Forwarded-* headers are trusted")
    shutdown_grace: NonNegativeSeconds = Field(
        30.0, description="Seconds that requests in flight may take to finish after SIGTERM"
    )
    header_timeout: Seconds = Field(15.0, description="Seconds within which a request's head must arrive")
    answer_timeout: Seconds = Field(
        12.0, description="Seconds after which a request without an answer fails, with 503 or 504; pip waits for 15"
    )
    keepalive_timeout: Seconds = Field(75.0, description="Seconds that an idle connection is kept")
    send_timeout: Seconds = Field(60.0, description="Seconds after which a client that reads nothing is disconnected")
    max_connections: int = Field(
        1024, ge=1, description="Most client connections, per worker; another replaces the longest idle, or gets 503"
    )
    max_connections_per_peer: int = Field(
        512, ge=1, description="The same per address (IPv6: per /64), except for trusted_proxies and a Unix socket"
    )
    max_target_bytes: Size = Field(8190, ge=256, le=65536, description="Longest request target; longer ones get 414")
    max_header_bytes: Size = Field(
        32768, ge=1024, le=65536, description="Headers of a request, all together; longer ones get 431"
    )


class RewriteSettings(Section):
    """How paths become keys."""

    strip_prefix: MountPrefix = Field("", description="Removed from the front of a path that starts with it")
    add_prefix: MountPrefix = Field("", description="Added to the front of a path, after strip_prefix is removed")
    index_document: IndexDocument = Field("index.html", description="File that is served for a path that ends in /")


class IndexSettings(Section):
    """Pages of projects and their files."""

    mode: Literal["auto", "static", "generated", "off", "site"] = Field(
        "auto",
        description="static: pages stored in the bucket; generated: pages made from its listing; "
        "auto: the stored page, else a generated one; off: as static, never converted to JSON; "
        "site: no package index, but a web site",
    )
    layout: Literal["auto", "project", "flat"] = Field(
        "auto",
        description="project: a folder for each project; flat: files lie anywhere, and their names tell the project; "
        "auto: flat if package files lie at the top, else project",
    )
    refresh: NonNegativeSeconds = Field(30.0, description="Seconds that a listing is used; SIGHUP drops all at once")
    memory_bytes: Size = Field(
        16 * 1024 * 1024,
        ge=1024 * 1024,
        description="Memory for listings, pages, hashes, metadata of wheels and pages of the other index, per worker",
    )
    browse: bool = Field(True, description="Show browsers pages made for people, at / and /project/")
    remote_images: bool = Field(
        False,
        description="Let browsers fetch the https images of READMEs; their hosts then learn who looks at which project",
    )
    compute_hashes: bool = Field(
        True, description="Compute the SHA-256 of files that have none, in the background; reads each file once"
    )
    share_metadata: bool = Field(
        False,
        description="Store computed hashes and Requires-Python in the storage too, under .gateway/, so that all "
        "gateways share them; needs permission to write there",
    )
    tracks: ProjectUrls = Field(
        {}, description="By project: URLs of the projects in other indexes that it extends (PEP 708, rejected in 2026)"
    )
    alternate_locations: ProjectUrls = Field(
        {}, description="By project: URLs of the same project in other indexes (PEP 708, rejected in 2026)"
    )


class FallbackSettings(Section):
    """Another index, for projects that the storage does not have."""

    mode: Literal["none", "redirect", "cache", "mirror"] = Field(
        "none",
        description="none, redirect, cache (keep files among your own), mirror (show all files, keep them in .mirror/)",
    )
    base_url: EndpointUrl = Field("https://pypi.org/simple/", description="The other index")
    always_show_upstream: bool = Field(
        False, description="Show its files on the pages of your own projects too; no file is shown twice"
    )
    max_file_bytes: Size = Field(4 * 1024**3, ge=1, description="Largest file that is fetched from there")
    temp_bytes: Size = Field(
        8 * 1024**3,
        ge=1,
        description="Space in the temporary directory for files that are being fetched, per worker and mount",
    )
    allow_hosts: Hosts = Field(
        [], description="Other hosts with internal addresses that its links may lead to, as host or host:port"
    )
    disallow: Words = Field([], description="Projects that are never looked up there: names or patterns like acme-*")
    max_age: int = Field(
        0, ge=0, description="Seconds that clients may reuse its pages without asking; 0: they ask each time"
    )


class OpsSettings(Section):
    """Health and metrics."""

    path_prefix: MountPrefix = Field("", description="Path in front of /health, /ready and /metrics")
    port: int | None = Field(
        None, ge=0, le=65535, description="Separate port for health and metrics, on server.host; unset: server.port"
    )
    token: SecretStr | None = Field(
        None, description="Bearer token that /ready and /metrics ask for; unset: they answer everybody"
    )
    admin_token: SecretStr | None = Field(
        None, description="Bearer token of POST /-/refresh, /-/reload and /-/purge; unset: no such routes"
    )
    ready_ttl: NonNegativeSeconds = Field(5.0, description="Seconds that an answer of /ready is reused")


class LogSettings(Section):
    """What is logged, and how."""

    level: Literal["debug", "info", "warning", "error"] = Field("info", description="Lowest level that is logged")
    format: Literal["text", "json"] = Field("text", description="text or json")
    access: bool = Field(True, description="One line for each request, on standard output")
    audit: bool = Field(
        True, description="With access, one line for each request that not everybody may make: who, and why"
    )
    audit_objects: bool = Field(
        False, description="With access, keep these lines as JSON in the storage, below .gateway/audit/"
    )
    audit_interval: Seconds = Field(60.0, description="Seconds after which an object of them is written")


class Settings(Section):
    """All settings, by section."""

    server: ServerSettings = ServerSettings()
    storage: StorageSettings = StorageSettings()
    rewrite: RewriteSettings = RewriteSettings()
    index: IndexSettings = IndexSettings()
    site: SiteSettings = SiteSettings()
    fallback: FallbackSettings = FallbackSettings()
    policy: PolicySettings = PolicySettings()
    cache: CacheSettings = CacheSettings()
    parallel: ParallelSettings = ParallelSettings()
    ops: OpsSettings = OpsSettings()
    log: LogSettings = LogSettings()
    tracing: TracingSettings = TracingSettings()
    publish: PublishSettings = PublishSettings()
    cors: CorsSettings = CorsSettings()
    access: AccessSettings | None = None
    _file: "SettingsFile | None" = PrivateAttr(None)
    _mount: MountSettings = PrivateAttr(MountSettings())
    _mounts: "tuple[Settings, ...]" = PrivateAttr(())
    _shares_access: bool = PrivateAttr(True)

    def remember(self, file: "SettingsFile") -> None:
        self._file = file

    @property
    def file(self) -> "SettingsFile | None":
        """The file that the section `access` may change in while the gateway runs."""
        return self._file

    def states_of_files(self) -> "list[FileState]":
        """Those of the files that a mount reads once, when it is built."""
        storage = self.storage
        paths = [storage.verify, *(storage.client_cert or ()), storage.cloud_front_key_file, self.publish.sigstore_root]
        return [file_state(path) for path in paths if isinstance(path, Path)]

    def place(self, mount: MountSettings, mounts: "tuple[Settings, ...]" = (), *, shares_access: bool = True) -> None:
        self._mount, self._mounts, self._shares_access = mount, mounts, shares_access

    @property
    def mount(self) -> MountSettings:
        """Which mount these are the settings of."""
        return self._mount

    @property
    def base_path_name(self) -> str:
        """What people know as the path at which clients ask for this mount."""
        return f"the path of the mount {self._mount.name}" if self._mount.path else "server.base_path"

    @property
    def mounts(self) -> "tuple[Settings, ...]":
        """The settings of all mounts besides the one that these describe."""
        return self._mounts

    @property
    def uses_beacon(self) -> bool:
        """Whether gateways tell each other what is published here."""
        return self.index.mode != "site" and self.publish.uses_beacon(self.storage.resolved_backend)

    @property
    def shares_access(self) -> bool:
        """Whether access control is that of the top level."""
        return self._shares_access

    @property
    def has_default(self) -> bool:
        """Whether the top level is a mount itself, rather than what all mounts have in common: it names a place, or
        there are no other mounts."""
        storage = self.storage
        return not self._mounts or not storage.model_fields_set.isdisjoint(NAMES_OF_PLACES)

    @property
    def all_mounts(self) -> "tuple[Settings, ...]":
        return (self, *self._mounts) if self.has_default else self._mounts

    @property
    def with_access(self) -> "tuple[Settings, ...]":
        """The mounts whose storages have what access control keeps: those that have their own, and of those that share
        that of the top level the first."""
        real = [mount for mount in self.all_mounts if not mount.mount.members]
        first = next((mount for mount in real if mount.shares_access), None)
        return tuple(mount for mount in real if mount is first or not mount.shares_access)

    def named(self, name: str) -> "Settings | None":
        """The settings of a mount."""
        return next((mount for mount in self.all_mounts if mount.mount.name == name), None)


@dataclass(frozen=True)
class SettingsFile:
    """`read` returns the settings that this process would have if it started now. Raises ConfigError. `state` is the
    file's before it was read. `is_new` means that what was read is newer than what any other process has in force."""

    path: Path
    state: FileState
    read: Callable[[], Settings]
    is_new: bool = False


# Those that mean something only if they are given: their defaults are not in force without them.
OPTIONAL_SECTIONS: dict[str, type[Section]] = {"access": AccessSettings}
SECTIONS: dict[str, type[Section]] = {
    name: field.annotation for name, field in Settings.model_fields.items() if isinstance(field.annotation, type)
} | OPTIONAL_SECTIONS
