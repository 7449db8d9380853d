"""Tiny packages, built in memory."""

import base64
import gzip
import hashlib
import io
import tarfile
import zipfile
from collections.abc import Mapping

from gateway.cli.demo.packages import index_page, wheel

__all__ = ["buildable_sdist", "index_page", "sboms_wheel", "sdist", "wheel"]


def sboms_wheel(name: str, version: str, sboms: Mapping[str, bytes]) -> tuple[str, bytes]:
    """File name and bytes of a wheel with SBOMs (PEP 770), by their paths below its `sboms/`."""
    file, content = wheel(name, version)
    info, buffer = f"{name}-{version}.dist-info", io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as plain, zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        members = {path: plain.read(path) for path in plain.namelist()}
        record = members.pop(f"{info}/RECORD").decode()
        for path, sbom in sboms.items():
            members[f"{info}/sboms/{path}"] = sbom
            digest = base64.urlsafe_b64encode(hashlib.sha256(sbom).digest()).rstrip(b"=").decode()
            record = f"{info}/sboms/{path},sha256={digest},{len(sbom)}\n{record}"
        for path, member in {**members, f"{info}/RECORD": record.encode()}.items():
            archive.writestr(zipfile.ZipInfo(path), member, zipfile.ZIP_DEFLATED)
    return file, buffer.getvalue()


def sdist(name: str, version: str, **others: str) -> tuple[str, bytes]:
    """File name and bytes of a source archive, with the `others` among its files; not good for building."""
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0) as zipped, tarfile.open(fileobj=zipped, mode="w") as archive:
        files = {"PKG-INFO": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"} | others
        for file, text in files.items():
            member = tarfile.TarInfo(f"{name}-{version}/{file}")
            member.size = len(content := text.encode())
            archive.addfile(member, io.BytesIO(content))
    return f"{name}-{version}.tar.gz", buffer.getvalue()


def buildable_sdist(name: str, version: str) -> tuple[str, bytes]:
    """A source archive that brings its own build backend (PEP 517), so that building it needs no other index."""
    file, content = wheel(name, version)
    backend = f"""import base64, pathlib
def build_wheel(directory, config_settings=None, metadata_directory=None):
    pathlib.Path(directory, {file!r}).write_bytes(base64.b64decode({base64.b64encode(content)!r}))
    return {file!r}
def build_sdist(directory, config_settings=None):
    raise NotImplementedError
"""
    build_system = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    project = f'[project]\nname = "{name}"\nversion = "{version}"\n'
    members = {
        "PKG-INFO": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        "pyproject.toml": build_system + project,
        "backend.py": backend,
    }
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0) as zipped, tarfile.open(fileobj=zipped, mode="w") as archive:
        for path, text in members.items():
            member = tarfile.TarInfo(f"{name}-{version}/{path}")
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))
    return f"{name}-{version}.tar.gz", buffer.getvalue()
