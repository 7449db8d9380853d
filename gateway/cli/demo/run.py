"""`gateway demo`: runs the gateway on this machine in front of a real S3 server, and leaves nothing behind."""

import os
import signal
import socket
from collections.abc import Mapping

from gateway.app import Gateway
from gateway.cli import serve
from gateway.cli.demo.index import serving
from gateway.cli.demo.packages import PUBLIC_PROJECT, bucket_objects, public_files
from gateway.cli.demo.seaweed import Seaweed, SeaweedError
from gateway.config.load import load
from gateway.config.settings import Settings

_BUCKET = "demo-packages"

_INVITATION = """
Open {url}/ in a browser.

This gateway signs for the bucket {bucket} of a SeaweedFS at {endpoint}. The bucket has four
projects: acme-billing has a yanked release, acme-legacy a stored page. {public} is not in the
bucket: the gateway gets it from another index, at {index}. Try, in another terminal:

  pip install --index-url {url}/simple/ --target /tmp/gateway-demo hello-gateway
  curl {url}/simple/acme-billing/
  curl {url}/simple/{public}/
  curl --head {url}/acme-colors/acme_colors-1.1.0-py3-none-any.whl
  curl {url}/ready

Ctrl-C stops everything and leaves nothing behind.
"""


def run(port: int) -> int:
    """Runs until Ctrl-C or SIGTERM; returns the exit code. If `port` is taken, uses a free one."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that it cleans up as Ctrl-C does
    print("Starting SeaweedFS, an S3 server, on loopback: some 3 seconds …", flush=True)
    try:
        with Seaweed() as server, serving(PUBLIC_PROJECT, public_files()) as index:
            _upload(server, bucket_objects())

            def invite(gateway: Gateway) -> None:
                address = {"url": gateway.url, "endpoint": server.endpoint_url, "index": index}
                print(_INVITATION.format(bucket=_BUCKET, public=PUBLIC_PROJECT, **address), flush=True)

            return serve.run(_settings(server, port, index), started=invite, ends=False)
    except SeaweedError as error:
        print(f"gateway demo: {error}")
        return 1


def _upload(server: Seaweed, objects: Mapping[str, bytes]) -> None:
    client = server.client()
    client.create_bucket(Bucket=_BUCKET)
    for key, body in objects.items():
        kind = "text/html" if key.endswith(".html") else "application/octet-stream"
        client.put_object(Bucket=_BUCKET, Key=key, Body=body, ContentType=kind)


def _settings(server: Seaweed, port: int, index: str) -> Settings:
    settings = {
        "server.port": str(port if _is_free(port) else 0),
        "server.shutdown_grace": "2",
        "storage.bucket": _BUCKET,
        "storage.endpoint_url": server.endpoint_url,
        "storage.addressing_style": "path",
        "storage.region_name": server.region,
        "storage.aws_access_key_id": server.access_key,
        "storage.aws_secret_access_key": server.secret_key,
        "fallback.mode": "cache",
        "fallback.base_url": index,
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
