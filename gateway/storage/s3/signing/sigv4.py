"""AWS Signature Version 4 for S3, in headers and in URLs. Pure: the time is an argument.

https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
"""

import hmac
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import sha256
from urllib.parse import quote

from gateway.messages import Credentials

EMPTY_SHA256 = sha256(b"").hexdigest()
UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"

_ALGORITHM = "AWS4-HMAC-SHA256"
_SPACES = re.compile(r" +")


def sign(
    method: str,
    host: str,
    path: str,
    *,
    credentials: Credentials,
    region: str,
    now: float,
    service: str = "s3",
    query: str = "",
    headers: Mapping[str, str] | None = None,
    payload_hash: str = EMPTY_SHA256,
) -> dict[str, str]:
    """The headers to add to a request so that S3 accepts it: Authorization and the x-amz-* headers that it covers.

    `path` is the encoded path and `query` the canonical query string (see `canonical_query`), both byte for byte as
    they are sent; S3 neither normalises nor encodes them again. `headers` are further headers to sign.
    `payload_hash` is the hex SHA-256 of the body, or UNSIGNED_PAYLOAD. `now` is in seconds since the epoch.
    """
    date, timestamp = _date(int(now))
    added = {"x-amz-content-sha256": payload_hash, "x-amz-date": timestamp}
    if credentials.token is not None:
        added["x-amz-security-token"] = credentials.token
    if headers:
        canonical = {name.lower(): _SPACES.sub(" ", value.strip(" ")) for name, value in headers.items()}
        signed = dict(sorted((canonical | added | {"host": host}).items()))
    else:
        signed = {"host": host, **added}  # in order already
    names = ";".join(signed)
    lines = "".join([f"{name}:{value}\n" for name, value in signed.items()])
    canonical_request = f"{method}\n{path or '/'}\n{query}\n{lines}\n{names}\n{payload_hash}"

    scope = f"{date}/{region}/{service}/aws4_request"
    signature = _signature(canonical_request, timestamp, scope, credentials.secret_key)
    added["Authorization"] = (
        f"{_ALGORITHM} Credential={credentials.access_key}/{scope},SignedHeaders={names},Signature={signature}"
    )
    return added


def presign(
    method: str,
    host: str,
    path: str,
    *,
    credentials: Credentials,
    region: str,
    now: float,
    expires: int,
    service: str = "s3",
) -> str:
    """The query string that makes a URL valid for `method`, for `expires` seconds from `now`.

    Only the host is signed, so the client may send Range, If-* and any other headers. `path` is encoded, byte
    for byte as the client will send it. S3 takes at most 604800 seconds.
    """
    date, timestamp = _date(int(now))
    scope = f"{date}/{region}/{service}/aws4_request"
    token = f"&X-Amz-Security-Token={quote(credentials.token, safe='~')}" if credentials.token is not None else ""
    query = (
        f"X-Amz-Algorithm={_ALGORITHM}&X-Amz-Credential={quote(f'{credentials.access_key}/{scope}', safe='~')}"
        f"&X-Amz-Date={timestamp}&X-Amz-Expires={expires}{token}&X-Amz-SignedHeaders=host"
    )
    canonical_request = f"{method}\n{path or '/'}\n{query}\nhost:{host}\n\nhost\n{UNSIGNED_PAYLOAD}"
    return f"{query}&X-Amz-Signature={_signature(canonical_request, timestamp, scope, credentials.secret_key)}"


def canonical_query(parameters: Mapping[str, str]) -> str:
    """The query string as it is signed and sent: sorted, each name and value encoded, `=` even without a value."""
    pairs = sorted((quote(name, safe="~"), quote(value, safe="~")) for name, value in parameters.items())
    return "&".join([f"{name}={value}" for name, value in pairs])


def _signature(canonical_request: str, timestamp: str, scope: str, secret: str) -> str:
    to_sign = f"{_ALGORITHM}\n{timestamp}\n{scope}\n{sha256(canonical_request.encode()).hexdigest()}"
    return hmac.digest(_day_key(secret, scope), to_sign.encode(), "sha256").hex()


@lru_cache(maxsize=2)
def _date(second: int) -> tuple[str, str]:
    """`20130524` and `20130524T000000Z`: formatted once a second, not for each request."""
    moment = datetime.fromtimestamp(second, UTC)
    return moment.strftime("%Y%m%d"), moment.strftime("%Y%m%dT%H%M%SZ")


@lru_cache(maxsize=8)
def _day_key(secret: str, scope: str) -> bytes:
    """The signing key, valid for one day. Deriving it takes four of the five HMACs of a signature."""
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key
