"""Uploads as clients send them."""

from collections.abc import Mapping
from hashlib import blake2b, md5, sha256
from io import BytesIO
from typing import Any

import aiohttp

from tests.support.wheels import sdist, wheel

BOUNDARY = "0123456789abcdef"


def fields(filename: str, content: bytes, **other: str | None) -> dict[str, str]:
    """The fields that twine sends; those that are None in `other` are left out."""
    name, version, *_ = filename.removesuffix(".tar.gz").split("-")
    kind = {"filetype": "sdist", "pyversion": "source"}
    if filename.endswith(".whl"):
        kind = {"filetype": "bdist_wheel", "pyversion": "py3"}
    said: dict[str, str | None] = {
        ":action": "file_upload",
        "protocol_version": "1",
        "metadata_version": "2.1",
        "name": name,
        "version": version,
        **kind,
        "sha256_digest": sha256(content).hexdigest(),
        "blake2_256_digest": blake2b(content, digest_size=32).hexdigest(),
        "md5_digest": md5(content, usedforsecurity=False).hexdigest(),
    }
    return {key: value for key, value in (said | other).items() if value is not None}


def form(filename: str, content: bytes, said: Mapping[str, str], *, after: Mapping[str, str] | None = None) -> bytes:
    """A form with the file behind the fields, and the fields `after` behind the file."""

    def part(disposition: str, value: bytes) -> bytes:
        return f"--{BOUNDARY}\r\nContent-Disposition: form-data; {disposition}\r\n\r\n".encode() + value + b"\r\n"

    parts = [part(f'name="{name}"', value.encode()) for name, value in said.items()]
    parts.append(part(f'name="content"; filename="{filename}"', content))
    parts += [part(f'name="{name}"', value.encode()) for name, value in (after or {}).items()]
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


FORM = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}


async def upload(
    url: str,
    filename: str,
    content: bytes,
    other: Mapping[str, str | None] | None = None,
    *,
    headers: Mapping[str, str] | None = None,
    after: Mapping[str, str] | None = None,
) -> tuple[int, str, str]:
    """Status, reason phrase and body of the answer. The fields `after` follow the file."""
    body = form(filename, content, fields(filename, content, **(other or {})), after=after)
    options: dict[str, Any] = {"data": BytesIO(body), "headers": FORM | dict(headers or {}), "allow_redirects": False}
    async with aiohttp.request("POST", url, **options) as answer:
        return answer.status, answer.reason or "", await answer.text()


__all__ = ["BOUNDARY", "FORM", "fields", "form", "sdist", "upload", "wheel"]
