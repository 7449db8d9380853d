"""The signature schemes of requests to a bucket: SigV4, the default, and SigV2, for servers that lack SigV4."""

from collections.abc import Mapping
from email.utils import formatdate
from typing import TYPE_CHECKING, Protocol

from gateway.messages import Credentials, Endpoint
from gateway.storage.s3.signing import sigv4

if TYPE_CHECKING:  # the import takes 100 ms, needed only with SigV2
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import ReadOnlyCredentials


class Scheme(Protocol):
    """Pure: `now` is in seconds since the epoch; `path` and `query` are encoded as they are sent."""

    def headers(
        self,
        method: str,
        endpoint: Endpoint,
        path: str,
        query: str,
        *,
        credentials: Credentials,
        now: float,
        headers: Mapping[str, str],
        payload_hash: str,
    ) -> dict[str, str]:
        """The headers to add to a request; `headers` are its existing headers that must be signed."""

    def presign(
        self, method: str, endpoint: Endpoint, path: str, *, credentials: Credentials, now: float, expires: int
    ) -> str:
        """The query string that makes a URL valid for `expires` seconds."""


class SigV4:
    """Our own signer."""

    def headers(
        self,
        method: str,
        endpoint: Endpoint,
        path: str,
        query: str,
        *,
        credentials: Credentials,
        now: float,
        headers: Mapping[str, str],
        payload_hash: str,
    ) -> dict[str, str]:
        return sigv4.sign(
            method,
            endpoint.host,
            path,
            credentials=credentials,
            region=endpoint.region,
            service=endpoint.service,
            query=query,
            now=now,
            headers=headers,
            payload_hash=payload_hash,
        )

    def presign(
        self, method: str, endpoint: Endpoint, path: str, *, credentials: Credentials, now: float, expires: int
    ) -> str:
        return sigv4.presign(
            method,
            endpoint.host,
            path,
            credentials=credentials,
            region=endpoint.region,
            service=endpoint.service,
            now=now,
            expires=expires,
        )


class SigV2:
    """botocore's signer: HMAC-SHA1, without region and without the body's hash.

    https://docs.aws.amazon.com/AmazonS3/latest/API/RESTAuthentication.html
    """

    def __init__(self, bucket: str) -> None:
        """The signature covers `/bucket/key`, even if the bucket is in the host name."""
        self._bucket = bucket

    def headers(
        self,
        method: str,
        endpoint: Endpoint,
        path: str,
        query: str,
        *,
        credentials: Credentials,
        now: float,
        headers: Mapping[str, str],
        payload_hash: str,
    ) -> dict[str, str]:
        from botocore.auth import HmacV1Auth

        class Auth(HmacV1Auth):  # type: ignore[misc]
            def _get_date(self) -> str:
                return formatdate(now, usegmt=True)

        request = self._request(method, endpoint, path, query, headers)
        Auth(_frozen(credentials)).add_auth(request)
        return {name: value for name, value in request.headers.items() if name not in headers}

    def presign(
        self, method: str, endpoint: Endpoint, path: str, *, credentials: Credentials, now: float, expires: int
    ) -> str:
        from botocore.auth import HmacV1QueryAuth

        class Auth(HmacV1QueryAuth):  # type: ignore[misc]
            def _get_date(self) -> str:
                return str(int(now) + expires)

        request = self._request(method, endpoint, path, "", {})
        Auth(_frozen(credentials)).add_auth(request)
        query: str = request.url.partition("?")[2]
        return query

    def _request(
        self, method: str, endpoint: Endpoint, path: str, query: str, headers: Mapping[str, str]
    ) -> "AWSRequest":
        from botocore.awsrequest import AWSRequest

        # A subresource without a value is signed without its `=`.
        url = f"{endpoint.origin}{path}" + (f"?{query.removesuffix('=')}" if query else "")
        auth_path = (path or "/") if endpoint.base_path else f"/{self._bucket}{path}"
        return AWSRequest(method, url, headers=dict(headers), auth_path=auth_path)


def _frozen(credentials: Credentials) -> "ReadOnlyCredentials":
    from botocore.credentials import ReadOnlyCredentials

    return ReadOnlyCredentials(credentials.access_key, credentials.secret_key, credentials.token)
