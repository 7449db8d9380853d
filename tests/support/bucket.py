"""A bucket on a real server, filled by the test and served by the gateway."""

import http.client
import time
import uuid
from collections.abc import Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from typing import Any, Protocol
from urllib.parse import quote

from gateway.messages import Credentials
from gateway.storage.s3.signing.sigv4 import sign


class S3Server(Protocol):
    endpoint_url: str
    region: str
    access_key: str
    secret_key: str

    def client(self) -> Any: ...
    def __hash__(self) -> int: ...


@dataclass
class Bucket:
    """A fresh bucket with a name of its own."""

    server: S3Server
    name: str = field(default_factory=lambda: f"bucket-{uuid.uuid4().hex[:12]}")

    def __post_init__(self) -> None:
        self.client = _client(self.server)
        self.client.create_bucket(Bucket=self.name)

    def put(self, key: str, body: bytes, **options: str) -> None:
        self.client.put_object(Bucket=self.name, Key=key, Body=body, **options)

    def put_many(self, objects: Mapping[str, bytes]) -> None:
        """For a thousand objects or more: botocore would take longer for them than all else in the test."""
        host = self.server.endpoint_url.removeprefix("http://")
        credentials = Credentials(self.server.access_key, self.server.secret_key)
        connection = http.client.HTTPConnection(host, timeout=20)
        for key, body in objects.items():
            path, digest = quote(f"/{self.name}/{key}"), sha256(body).hexdigest()
            region, now = self.server.region, time.time()
            headers = sign("PUT", host, path, credentials=credentials, region=region, now=now, payload_hash=digest)
            connection.request("PUT", path, body, headers)
            answer = connection.getresponse()
            assert answer.status == 200, answer.read()
            answer.read()
        connection.close()

    def settings(self, **changes: object) -> dict[str, str]:
        """Settings of a gateway in front of it."""
        settings = {
            "storage.bucket": self.name,
            "storage.endpoint_url": self.server.endpoint_url,
            "storage.addressing_style": "path",
            "storage.region_name": self.server.region,
            "storage.aws_access_key_id": self.server.access_key,
            "storage.aws_secret_access_key": self.server.secret_key,
        }
        return settings | {name.replace("__", "."): str(value) for name, value in changes.items()}


def ready_buckets(server: S3Server) -> Generator[Bucket]:
    """Makes one bucket ahead. On SeaweedFS the first object of a bucket waits a fifth of a second for a volume."""

    def make() -> Bucket:
        bucket = Bucket(server)
        bucket.put("first", b"x")
        bucket.client.delete_object(Bucket=bucket.name, Key="first")
        return bucket

    with ThreadPoolExecutor(1) as executor:
        following = executor.submit(make)
        while True:
            bucket, following = following.result(), executor.submit(make)
            yield bucket


@cache
def _client(server: S3Server) -> Any:
    """One client serves all buckets of a server: making one takes longer than most tests."""
    return server.client()
