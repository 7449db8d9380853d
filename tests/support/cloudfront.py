"""A CloudFront distribution on loopback, in front of a bucket: it checks signed URLs as AWS's documentation says.

https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/private-content-creating-signed-url-canned-policy.html
https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/private-content-creating-signed-url-custom-policy.html
"""

import base64
import json
import re
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address, ip_network
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, unquote

from botocore.exceptions import ClientError
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA1, SHA256

from tests.support.bucket import Bucket

PublicKey = RSAPublicKey | EllipticCurvePublicKey
OWN_PARAMETERS = {"Expires", "Policy", "Signature", "Key-Pair-Id", "Hash-Algorithm"}


class RefusedError(Exception):
    """With the code that CloudFront gives in its XML."""


def check(url: str, trusted: Mapping[str, PublicKey], *, source: str, now: float) -> None:
    """Raises RefusedError unless `url`, as the viewer asks for it, is signed by a trusted key and is good now."""
    base, _, text = url.partition("?")
    query = dict(parse_qsl(text, keep_blank_values=True, strict_parsing=True)) if text else {}
    assert not set(query) - OWN_PARAMETERS, "the gateway adds nothing else"
    if "Key-Pair-Id" not in query or "Signature" not in query:
        raise RefusedError("MissingKey")
    if query["Key-Pair-Id"] not in trusted:
        raise RefusedError("InvalidKey")
    if "Policy" in query:
        policy = _decode(query["Policy"])
    else:
        policy = (
            f'{{"Statement":[{{"Resource":"{base}","Condition":'
            f'{{"DateLessThan":{{"AWS:EpochTime":{int(query["Expires"])}}}}}}}]}}'
        ).encode()
    hashes = {"SHA1": SHA1(), "SHA256": SHA256()}
    digest = hashes[query.get("Hash-Algorithm", "SHA1")]
    key, signature = trusted[query["Key-Pair-Id"]], _decode(query["Signature"])
    try:
        if isinstance(key, RSAPublicKey):
            key.verify(signature, policy, PKCS1v15(), digest)
        else:
            key.verify(signature, policy, ECDSA(digest))
    except InvalidSignature:
        raise RefusedError("AccessDenied") from None
    [statement] = json.loads(policy)["Statement"]
    condition = statement["Condition"]
    pattern = re.escape(statement["Resource"]).replace(r"\*", ".*").replace(r"\?", ".")
    network = condition.get("IpAddress", {}).get("AWS:SourceIp", "0.0.0.0/0")
    if (
        not re.fullmatch(pattern, base)
        or now >= condition["DateLessThan"]["AWS:EpochTime"]
        or ip_address(source) not in ip_network(network)
    ):
        raise RefusedError("AccessDenied")


def _decode(text: str) -> bytes:
    return base64.b64decode(text.translate(str.maketrans("-_~", "+=/")), validate=True)


@dataclass
class Distribution:
    """A context manager. Without trusted keys it serves without signatures, as a public distribution does."""

    bucket: Bucket
    trusted: Mapping[str, PublicKey] = field(default_factory=dict)
    requests: list[tuple[str, str]] = field(default_factory=list)

    def __enter__(self) -> Self:
        distribution = self

        class Pipeline(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                distribution.answer(self)

            do_HEAD = do_GET  # noqa: N815

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Pipeline)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def domain(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        self.requests.append((handler.command, handler.path))
        try:
            if self.trusted:
                url = f"http://{handler.headers['Host']}{handler.path}"
                check(url, self.trusted, source=handler.client_address[0], now=time.time())
            self._forward(handler)
        except RefusedError as refused:
            self._refuse(handler, 403, str(refused))
        except ClientError as error:
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            self._refuse(handler, status, error.response["Error"]["Code"])

    def _forward(self, handler: BaseHTTPRequestHandler) -> None:
        key = unquote(handler.path.partition("?")[0])[1:]
        names = {"Range": "Range", "If-None-Match": "IfNoneMatch", "If-Match": "IfMatch"}
        options = {option: handler.headers[name] for name, option in names.items() if name in handler.headers}
        found = self.bucket.client.get_object(Bucket=self.bucket.name, Key=key, **options)
        body = found["Body"].read()
        handler.send_response(found["ResponseMetadata"]["HTTPStatusCode"])
        for name in ("ETag", "ContentType", "ContentRange"):
            if name in found:
                handler.send_header(re.sub(r"(?<=[a-z])(?=[A-Z])", "-", name), found[name])
        self._finish(handler, body)

    def _refuse(self, handler: BaseHTTPRequestHandler, status: int, code: str) -> None:
        handler.send_response(status)
        body = f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>no</Message></Error>'
        self._finish(handler, b"" if status == 304 else body.encode())

    def _finish(self, handler: BaseHTTPRequestHandler, body: bytes) -> None:
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        if handler.command != "HEAD":
            handler.wfile.write(body)
