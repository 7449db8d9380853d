"""Tiny packages, built in memory."""

import gzip
import io
import tarfile

from gateway.demo import index_page, wheel

__all__ = ["index_page", "sdist", "wheel"]


def sdist(name: str, version: str) -> tuple[str, bytes]:
    """File name and bytes of a source archive; good for downloading, not for building."""
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0) as zipped, tarfile.open(fileobj=zipped, mode="w") as archive:
        content = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode()
        member = tarfile.TarInfo(f"{name}-{version}/PKG-INFO")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return f"{name}-{version}.tar.gz", buffer.getvalue()
