"""What to do about an error, for a person at the command line or in front of the log."""

import errno
import socket

from gateway.errors import GatewayError

_BY_CODE = {
    "InvalidAccessKeyId": "The access key id is unknown: does it belong to this account and storage, and is it active?",
    "SignatureDoesNotMatch": "The secret does not belong to the access key id: copy both again.",
    "ExpiredToken": "The session token has expired: get new temporary credentials, or let the chain refresh them.",
    "InvalidToken": "The session token is not valid for this key: set all three, or remove storage.aws_session_token.",
    "AccessDenied": "Permission is missing: allow s3:ListBucket on the bucket and s3:GetObject on its objects.",
    "NoSuchBucket": "There is no such bucket here: check storage.bucket, storage.region_name and storage.endpoint_url, "
    "or have it created at start with storage.create_bucket.",
    "DistributionDenied": "Is the public key in a key group that the distribution trusts, and may the distribution "
    "read the bucket (origin access control)? Is its origin path empty?",
    "InvalidKey": "CloudFront does not know the key: check storage.cloud_front_key_id.",
    "MissingKey": "The distribution asks for signed URLs: set storage.cloud_front_key_id and its key.",
    "ProxyRefused": "Check storage.proxies, or HTTPS_PROXY and NO_PROXY, and the proxy's user and password.",
    "RequestTimeTooSkewed": "This machine's clock is wrong, and the storage does not tell the time: set the clock.",
    "PermanentRedirect": "The bucket is in another region: set storage.region_name.",
    "AuthorizationHeaderMalformed": "The bucket is in another region: set storage.region_name.",
    "ConnectionFailed": "Nothing answers there: check storage.endpoint_url, the network, DNS and firewalls.",
    "ConnectionBroken": "The server there does not speak S3: check storage.endpoint_url (http or https?).",
    "TLS": "The certificate is not trusted: set storage.verify to the CA bundle's path.",
    "FileSystem": "Create the directory and make it readable for this user, or set storage.dir.",
    "NoListing": "The server there is not an S3 server: check storage.endpoint_url (host, port, http or https?).",
}
_NO_TLS = "The server there does not speak TLS: should storage.endpoint_url start with http://?"
# What OpenSSL says about an answer that is not TLS.
_PLAIN_ANSWER = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "record layer failure", "wrong version number")


def for_storage(error: GatewayError) -> str | None:
    """Advice about an error of the storage; None if there is nothing to add to the error's text."""
    code = error.code or ""
    if code == "TLS" and any(reason in error.detail for reason in _PLAIN_ANSWER):
        return _NO_TLS
    if code.startswith("HTTP"):  # S3 would have sent an error code
        return _BY_CODE["NoListing"]
    return _BY_CODE.get(code)


def for_listening(error: OSError) -> str:
    """Advice about an address that can't be bound."""
    if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
        return (
            "this machine has no such address: set server.host to 127.0.0.1, to 0.0.0.0 for all, or to one that it has"
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return "permission is missing: choose a server.port from 1024 up, or another path for server.unix_socket"
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return "create the directory of server.unix_socket"
    return "choose another server.port or ops.port (or server.unix_socket), or stop the program that uses it"


def for_writing(*, at_once: bool) -> str:
    """Advice about a storage that lets more than one writer of a key win."""
    if at_once:
        return (
            "The server checks If-None-Match too early: two uploads of one name within the same moment may both "
            "succeed, and the last one stays. See publish.unsafe."
        )
    return "The server ignores If-None-Match, so uploads are refused: update it, or see publish.unsafe."
