"""The settings of where the objects are, and how they reach the client."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr

from gateway.config.section import Section
from gateway.config.types import (
    Backend,
    Bucket,
    ClientCertificate,
    Distribution,
    EndpointUrl,
    KeyPrefix,
    NotEmpty,
    Options,
    Proxies,
    ReadableFile,
    Seconds,
    Size,
    SourceRange,
    Words,
)


class StorageSettings(Section):
    """Where the objects are, and how they reach the client."""

    backend: Backend | None = Field(
        None, description="file, s3, cloudfront, or package.module:Class; unset: s3 if a bucket is set, else file"
    )
    options: Options = Field(
        {}, description="Options for a package.module:Class backend, as its documentation lists them", repr=False
    )
    dir: Annotated[Path, NotEmpty] = Field(Path("packages"), description="Directory that the file backend serves")
    bucket: Bucket | None = Field(None, description="Bucket's name, or an access point's ARN")
    create_bucket: bool = Field(False, description="Create the bucket at start if there is none")
    prefix: KeyPrefix = Field("", description="Put before every key, like pypi/")
    prepend_hash: bool = Field(
        False, description="pypicloud's layout: project/file is stored as md5(file)[:4]/project/file"
    )
    region_name: str | None = Field(None, description="Bucket's region; unset: from AWS's configuration or the bucket")
    profile_name: str | None = Field(None, description="Profile of AWS's shared configuration to use")
    aws_access_key_id: str | None = Field(None, description="Static credentials; unset: botocore's whole chain")
    aws_secret_access_key: SecretStr | None = Field(None, description="Secret of aws_access_key_id")
    aws_session_token: SecretStr | None = Field(None, description="Session token, for temporary static credentials")
    assume_role_arn: str | None = Field(
        None,
        description="Role to assume with these credentials, like arn:aws:iam::123456789012:role/packages",
        pattern=r"^arn:[a-z0-9-]+:iam::[0-9]{12}:role/[A-Za-z0-9_+=,.@/-]+$",
    )
    assume_role_external_id: str | None = Field(
        None,
        description="External id that the role asks for",
        pattern=r"^[A-Za-z0-9_+=,.@:/-]+$",
    )
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
    read_timeout: Seconds = Field(10.0, description="Seconds without a byte from the storage before a retry")
    max_pool_connections: int = Field(1024, ge=1, description="Connections to the storage at once, per worker")
    max_attempts: int = Field(
        5, ge=1, le=20, description="Attempts at a request that the storage fails, including the first"
    )
    verify: bool | ReadableFile = Field(
        True,
        description="Check the storage's certificate: true, false, or a CA bundle's path",
        union_mode="left_to_right",
    )
    client_cert: ClientCertificate | None = Field(
        None, description="Client certificate for the storage: a PEM file with its key, or certificate,key"
    )
    proxies: Proxies | None = Field(
        None,
        description="HTTP proxies for the storage, by scheme; unset: from HTTPS_PROXY, HTTP_PROXY, NO_PROXY; {}: none",
        repr=False,
    )
    user_agent_extra: str | None = Field(
        None, description="Added to the User-Agent that the storage sees", pattern=r"^[\x20-\x7e]*$"
    )

    redirect_urls: bool | Literal["auto"] = Field(
        False, description="Redirect to signed URLs: true, false (stream), or auto (objects from redirect_min_size)"
    )
    redirect_min_size: Size = Field(1048576, ge=0, description="With auto: size from which objects are redirected")
    stream_user_agents: Words = Field([], description="With auto: parts of the User-Agents that get no redirect")
    redirect_check: bool = Field(True, description="Check that an object exists before redirecting to it")
    expire_after: int = Field(86400, ge=1, description="Seconds that a signed URL is valid; at most 604800 with s3v4")
    buffer_time: int = Field(600, ge=0, description="A signed URL is reused until so many seconds before it expires")
    public_url: bool = Field(False, description="Objects are public: fetch and redirect without signatures")

    cloud_front_domain: Distribution | None = Field(None, description="The distribution in front of the bucket")
    cloud_front_key_id: str | None = Field(
        None, description="Id of the key that signs its URLs; unset: URLs are not signed", pattern=r"^[A-Za-z0-9]+$"
    )
    cloud_front_key_file: ReadableFile | None = Field(None, description="PEM file of that key (RSA 2048, ECDSA P-256)")
    cloud_front_key_string: SecretStr | None = Field(None, description="The key itself; beats cloud_front_key_file")
    cloud_front_key_password: SecretStr | None = Field(None, description="Password of the key, if it is encrypted")
    cloud_front_hash_algorithm: Literal["SHA1", "SHA256"] = Field("SHA1", description="Hash of the signatures")
    cloud_front_ip_range: SourceRange = Field(
        False, description="Bind URLs to an IPv4 network, or (true) to each client's address"
    )
    cloud_front_wildcard: bool = Field(False, description="One signature for all files of a project")

    server_side_encryption: Literal["AES256", "aws:kms", "aws:kms:dsse"] | None = Field(
        None, description="Encryption of objects that the gateway writes; unset: the bucket's default"
    )
    sse_kms_key_id: str | None = Field(None, description="KMS key for aws:kms; unset: AWS's own", pattern=r"^[!-~]+$")
    object_acl: str | None = Field(None, description="Canned ACL of written objects", pattern=r"^[a-z-]+$")
    storage_class: str | None = Field(None, description="Storage class of written objects", pattern=r"^[A-Z_]+$")

    @property
    def resolved_backend(self) -> str:
        return self.backend or ("s3" if self.bucket else "file")
