"""Every setting: its name, type, default, and one line of help."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from gateway.config.types import (
    Backend,
    Bucket,
    ClientCertificate,
    Distribution,
    EndpointUrl,
    Hosts,
    IndexDocument,
    KeyPrefix,
    MountPrefix,
    Networks,
    NonNegativeSeconds,
    NotEmpty,
    Options,
    ProjectUrls,
    Proxies,
    ReadableFile,
    Seconds,
    Size,
    SourceRange,
    Words,
)


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


class StorageSettings(Section):
    """Where the objects are, and how they reach the client."""

    backend: Backend | None = Field(
        None, description="file, s3, cloudfront, or package.module:Class; unset: s3 if a bucket is set, else file"
    )
    options: Options = Field(
        {}, description="Options of a backend that package.module:Class names, as it documents them", repr=False
    )
    dir: Annotated[Path, NotEmpty] = Field(Path("packages"), description="Directory that the file backend serves")
    bucket: Bucket | None = Field(None, description="Bucket's name, or an access point's ARN")
    create_bucket: bool = Field(False, description="Create the bucket at start if there is none")
    prefix: KeyPrefix = Field("", description="Put before every key, like pypi/")
    prepend_hash: bool = Field(
        False, description="pypicloud's layout: project/file is stored as md5(file)[:4]/project/file"
    )
    region_name: str | None = Field(None, description="Bucket's region; unset: as AWS's configuration says, or learnt")
    profile_name: str | None = Field(None, description="Profile of AWS's shared configuration to use")
    aws_access_key_id: str | None = Field(None, description="Static credentials; unset: botocore's whole chain")
    aws_secret_access_key: SecretStr | None = Field(None, description="Secret of aws_access_key_id")
    aws_session_token: SecretStr | None = Field(None, description="Session token, for temporary static credentials")
    signature_version: Literal["s3v4", "s3", "unsigned"] = Field(
        "s3v4", description="s3v4; s3 for old servers that know SigV2 only; unsigned for a public bucket"
    )
    endpoint_url: EndpointUrl | None = Field(None, description="Address of another S3 (MinIO, Ceph, SeaweedFS …)")
    addressing_style: Literal["auto", "virtual", "path"] = Field(
        "auto", description="Bucket in the host name or in the path"
    )
    use_accelerate_endpoint: bool = Field(False, description="Use S3 Transfer Acceleration")
    use_dualstack_endpoint: bool | None = Field(
        None, description="Use IPv6-capable endpoints; unset: as AWS's configuration says"
    )
    use_fips_endpoint: bool | None = Field(None, description="Use FIPS endpoints; unset: as AWS's configuration says")
    connect_timeout: Seconds = Field(5.0, description="Seconds to connect to the storage")
    read_timeout: Seconds = Field(10.0, description="Seconds that the storage may be silent before it is asked again")
    max_pool_connections: int = Field(1024, ge=1, description="Connections to the storage at once, per worker")
    max_attempts: int = Field(
        5, ge=1, le=20, description="Tries of a request that the storage fails, the first included"
    )
    verify: bool | ReadableFile = Field(
        True,
        description="Check the storage's certificate: true, false, or a CA bundle's path",
        union_mode="left_to_right",
    )
    client_cert: ClientCertificate | None = Field(
        None, description="Our certificate for the storage: a PEM file with its key, or certificate,key"
    )
    proxies: Proxies | None = Field(
        None,
        description="HTTP proxies on the way to the storage, by scheme; unset: HTTPS_PROXY and its kin; {}: none",
        repr=False,
    )
    user_agent_extra: str | None = Field(
        None, description="Added to the User-Agent that the storage sees", pattern=r"^[\x20-\x7e]*$"
    )

    redirect_urls: bool | Literal["auto"] = Field(
        False, description="Redirect to signed URLs: true, false (stream), or auto (large objects, able clients)"
    )
    redirect_min_size: Size = Field(1048576, ge=0, description="With auto: bytes from which objects are redirected")
    stream_user_agents: Words = Field([], description="With auto: clients that get no redirect, by parts of User-Agent")
    redirect_check: bool = Field(True, description="Look whether an object exists before redirecting to it")
    expire_after: int = Field(86400, ge=1, description="Seconds that a signed URL is valid; at most 604800 with s3v4")
    buffer_time: int = Field(600, ge=0, description="Seconds before its expiry from which a signed URL is not reused")
    public_url: bool = Field(False, description="Objects are public: fetch them, and redirect to them, unsigned")

    cloud_front_domain: Distribution | None = Field(None, description="The distribution in front of the bucket")
    cloud_front_key_id: str | None = Field(
        None, description="Id of the key that signs its URLs; unset: URLs are not signed", pattern=r"^[A-Za-z0-9]+$"
    )
    cloud_front_key_file: ReadableFile | None = Field(None, description="PEM file of that key (RSA 2048, ECDSA P-256)")
    cloud_front_key_string: SecretStr | None = Field(None, description="The key itself; beats cloud_front_key_file")
    cloud_front_key_password: SecretStr | None = Field(None, description="Password of the key, if it is encrypted")
    cloud_front_hash_algorithm: Literal["SHA1", "SHA256"] = Field("SHA1", description="Hash of the signatures")
    cloud_front_ip_range: SourceRange = Field(
        False, description="Bind URLs to an IPv4 network, or with true to each caller's address"
    )
    cloud_front_wildcard: bool = Field(False, description="One signature for all files of a project")

    server_side_encryption: Literal["AES256", "aws:kms", "aws:kms:dsse"] | None = Field(
        None, description="Encryption of what is written; unset: as the bucket does"
    )
    sse_kms_key_id: str | None = Field(None, description="KMS key for aws:kms; unset: AWS's own", pattern=r"^[!-~]+$")
    object_acl: str | None = Field(None, description="Canned ACL of what is written", pattern=r"^[a-z-]+$")
    storage_class: str | None = Field(None, description="Storage class of what is written", pattern=r"^[A-Z_]+$")

    @property
    def resolved_backend(self) -> str:
        return self.backend or ("s3" if self.bucket else "file")


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
        24 * 1024 * 1024,
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
        24 * 1024 * 1024,
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
