"""`gateway demo`: the whole thing on this machine, with a real S3 server behind it and nothing left afterwards."""

import base64
import hashlib
import io
import os
import signal
import socket
import zipfile
from collections.abc import Mapping, Sequence

from gateway.app import Gateway
from gateway.cli import serve
from gateway.cli.seaweed import Seaweed, SeaweedError
from gateway.config.load import load
from gateway.config.settings import Settings

_BUCKET = "demo-packages"
_PROJECT = "hello-gateway"

_INVITATION = """
A gateway is running at {url}, signing for the bucket {bucket} on a SeaweedFS at {endpoint}.
Try, in another terminal:

  pip install --index-url {url} --target /tmp/gateway-demo {project}
  curl {url}/{project}/
  curl --head {url}/{project}/{file}
  curl {url}/ready

Ctrl-C stops both and leaves nothing behind.
"""


def run(port: int) -> int:
    """Runs until Ctrl-C or SIGTERM; returns the exit code. If `port` is taken, a free one serves as well."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that it cleans up as Ctrl-C does
    print("Starting SeaweedFS, an S3 server, on loopback: some 3 seconds …", flush=True)
    try:
        with Seaweed() as server:
            file, content = wheel(_PROJECT.replace("-", "_"), "1.0.0")
            _upload(server, {file: content})

            def invite(gateway: Gateway) -> None:
                text = _INVITATION.format(
                    url=gateway.url, bucket=_BUCKET, endpoint=server.endpoint_url, project=_PROJECT, file=file
                )
                print(text, flush=True)

            return serve.run(_settings(server, port), started=invite)
    except SeaweedError as error:
        print(f"gateway demo: {error}")
        return 1


def wheel(name: str, version: str, requires: Sequence[str] = ()) -> tuple[str, bytes]:
    """File name and bytes of a pure wheel (binary distribution format 1.0) whose one module says its version."""
    info = f"{name}-{version}.dist-info"
    metadata = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    metadata += [f"Requires-Dist: {requirement}" for requirement in requires]
    files = {
        f"{name}.py": f'version = "{version}"\n',
        f"{info}/METADATA": "\n".join(metadata) + "\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: gateway\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},sha256={_digest(text)},{len(text)}\n" for path, text in files.items())
    files[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n"
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, text in files.items():
            archive.writestr(zipfile.ZipInfo(path), text)
    return f"{name}-{version}-py3-none-any.whl", buffer.getvalue()


def index_page(files: Mapping[str, bytes]) -> bytes:
    """A project's page (PEP 503) with hashes."""
    links = "".join(
        f'<a href="{name}#sha256={hashlib.sha256(content).hexdigest()}">{name}</a><br>\n'
        for name, content in files.items()
    )
    return f"<!DOCTYPE html>\n<html><body>\n{links}</body></html>\n".encode()


def _upload(server: Seaweed, files: Mapping[str, bytes]) -> None:
    client = server.client()
    client.create_bucket(Bucket=_BUCKET)
    pages = {
        "index.html": f'<!DOCTYPE html>\n<html><body><a href="{_PROJECT}/">{_PROJECT}</a></body></html>\n'.encode(),
        f"{_PROJECT}/index.html": index_page(files),
    }
    for key, body in pages.items():
        client.put_object(Bucket=_BUCKET, Key=key, Body=body, ContentType="text/html")
    for name, content in files.items():
        client.put_object(Bucket=_BUCKET, Key=f"{_PROJECT}/{name}", Body=content)


def _settings(server: Seaweed, port: int) -> Settings:
    settings = {
        "server.port": str(port if _is_free(port) else 0),
        "server.shutdown_grace": "2",
        "storage.bucket": _BUCKET,
        "storage.endpoint_url": server.endpoint_url,
        "storage.addressing_style": "path",
        "storage.region_name": server.region,
        "storage.aws_access_key_id": server.access_key,
        "storage.aws_secret_access_key": server.secret_key,
    }
    return load(settings, environ={"GATEWAY_CONFIG": os.devnull})


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def _digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
