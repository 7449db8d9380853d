"""What is measured against what: a stub bucket, the nginx+lua setup that the gateway replaces, and the gateway.

All of it on loopback and free ports. The stub and the peer are nginx, started only if it is installed with the
modules that the setup needs (Debian: nginx-light libnginx-mod-http-lua libnginx-mod-http-set-misc).
"""

import os
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from tests.support.process import GatewayProcess

BUCKET = "my-pypi"
KEY, SECRET = "AKIAEXAMPLE", "examplesecret"
SIZES = {"10k": 10_240, "1m": 1 << 20, "100m": 100 << 20, "1g": 1 << 30}
_FILES_OF_100_KB = 750
_MODULES = Path("/usr/lib/nginx/modules")
_NEEDED = ["ndk_http_module.so", "ngx_http_lua_module.so", "ngx_http_set_misc_module.so"]

_STUB = """
worker_processes 1; daemon off; pid {run}/stub.pid; error_log {run}/stub.err;
events {{ worker_connections 8192; }}
http {{
  access_log off; sendfile on; tcp_nopush on; keepalive_requests 100000000;
  default_type application/octet-stream; client_body_temp_path {run}/t1; proxy_temp_path {run}/t2;
  fastcgi_temp_path {run}/t3; uwsgi_temp_path {run}/t4; scgi_temp_path {run}/t5;
  server {{ listen 127.0.0.1:{stub} backlog=4096; root {run}/bucket; }}
}}
"""
# One worker, no upstream keep-alive on `lua` (as people run it), keep-alive on `lua_keep`.
_LUA = """
env AWS_S3_BUCKET; env AWS_ACCESS_KEY; env AWS_SECRET_KEY;
{modules}
worker_processes 1; daemon off; pid {run}/lua.pid; error_log {run}/lua.err;
events {{ worker_connections 8192; }}
http {{
  access_log off; keepalive_requests 100000000; client_body_temp_path {run}/t1; proxy_temp_path {run}/t2;
  fastcgi_temp_path {run}/t3; uwsgi_temp_path {run}/t4; scgi_temp_path {run}/t5;
  upstream stub {{ server 127.0.0.1:{stub}; }}
  upstream stub_keep {{ server 127.0.0.1:{stub}; keepalive 128; keepalive_requests 100000000; }}
  map $server_port $target {{ {lua} http://stub; {lua_keep} http://stub_keep; }}
  map $server_port $connection_to_stub {{ {lua} close; {lua_keep} ""; }}
  server {{
    listen 127.0.0.1:{lua} backlog=4096; listen 127.0.0.1:{lua_keep} backlog=4096;
    location / {{
      rewrite ^(.*)/$ $1/index.html;
      set_by_lua_block $bucket {{ return os.getenv("AWS_S3_BUCKET") }}
      set_by_lua_block $id {{ return os.getenv("AWS_ACCESS_KEY") }}
      set_by_lua_block $secret {{ return os.getenv("AWS_SECRET_KEY") }}
      set_by_lua_block $date {{ return ngx.cookie_time(ngx.time()) }}
      set $to_sign "$request_method\\n\\n\\n\\nx-amz-date:$date\\n/$bucket$uri";
      set_hmac_sha1 $mac $secret $to_sign;
      set_encode_base64 $mac $mac;
      proxy_http_version 1.1; proxy_buffering off; proxy_intercept_errors on;
      proxy_set_header Connection $connection_to_stub;
      proxy_set_header Host 127.0.0.1;
      proxy_set_header x-amz-date $date;
      proxy_set_header Authorization "AWS $id:$mac";
      proxy_pass $target/{bucket}$uri;
    }}
  }}
}}
"""


def missing() -> str | None:
    """What keeps the rig from running here."""
    for command in ("nginx", "wrk"):
        if shutil.which(command) is None and not Path("/usr/sbin", command).exists():
            return f"{command} is not installed"
    absent = [module for module in _NEEDED if not (_MODULES / module).exists()]
    return f"nginx lacks {', '.join(absent)}" if absent else None


@dataclass(frozen=True)
class Server:
    """A process to measure, and where it answers."""

    name: str
    pid: int
    url: str


@dataclass(frozen=True)
class Rig:
    """The servers to compare, and the best of three times from start to first answer of the gateway, in seconds.

    `gateway` has its cache off, so that it is measured fetching; `caching` has it on; `redirecting` sends clients to
    presigned URLs. `pages` makes the index of a directory, with a page of some 100 KB at `/big/`.
    """

    lua: Server
    lua_keep: Server
    gateway: Server
    caching: Server
    redirecting: Server
    pages: Server
    start_seconds: float


@contextmanager
def running() -> Iterator[Rig]:
    """All of it, up and answering."""
    ports = dict(zip(("stub", "lua", "lua_keep"), _free_ports(3), strict=True))
    with ExitStack() as stack:
        run = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gateway-bench-")))
        run.chmod(0o755)  # nginx's worker is another user
        _fill(run / "bucket" / BUCKET / "arrow")
        modules = "\n".join(f"load_module {_MODULES / module};" for module in _NEEDED)
        values = {"run": run, "bucket": BUCKET, "modules": modules, **ports}
        stub = stack.enter_context(_nginx(run / "stub.conf", _STUB.format(**values)))
        _wait(f"http://127.0.0.1:{ports['stub']}/{BUCKET}/arrow/10k.whl", stub)
        lua = stack.enter_context(_nginx(run / "lua.conf", _LUA.format(**values)))
        _wait(f"http://127.0.0.1:{ports['lua']}/arrow/10k.whl", lua)
        start = [_start_seconds(run, ports["stub"]) for _ in range(3)]
        gateway = _gateway(run / "gateway", ports["stub"], {"cache.memory_bytes": "0"})
        stack.callback(gateway.stop)
        caching = _gateway(run / "caching", ports["stub"])
        stack.callback(caching.stop)
        pages = _pages(run / "pages")
        stack.callback(pages.stop)
        redirecting = _gateway(run / "redirecting", ports["stub"], {"storage.redirect_urls": "true"})
        stack.callback(redirecting.stop)
        yield Rig(
            Server("nginx+lua", lua.pid, f"http://127.0.0.1:{ports['lua']}"),
            Server("nginx+lua, keep-alive", lua.pid, f"http://127.0.0.1:{ports['lua_keep']}"),
            Server("gateway", gateway.process.pid, gateway.wait_until_it_listens()),
            Server("gateway, cache on", caching.process.pid, caching.wait_until_it_listens()),
            Server("gateway, redirects", redirecting.process.pid, redirecting.wait_until_it_listens()),
            Server("gateway, index", pages.process.pid, pages.wait_until_it_listens()),
            min(start),
        )


def _gateway(directory: Path, stub: int, more: Mapping[str, str] = MappingProxyType({})) -> GatewayProcess:
    settings = {
        "storage.bucket": BUCKET,
        "storage.endpoint_url": f"http://127.0.0.1:{stub}",
        "storage.addressing_style": "path",
        "storage.region_name": "us-east-1",
        "storage.aws_access_key_id": KEY,
        "storage.aws_secret_access_key": SECRET,
        "log.access": "false",  # as the others
        "server.shutdown_grace": "1",
    }
    return GatewayProcess(directory, settings | dict(more))


def _pages(directory: Path) -> GatewayProcess:
    folder = directory / "packages" / "big"
    folder.mkdir(parents=True)
    for number in range(_FILES_OF_100_KB):
        (folder / f"big-1.{number}-py3-none-any.whl").touch()
    settings = {"storage.dir": str(directory / "packages"), "log.access": "false", "index.compute_hashes": "false"}
    return GatewayProcess(directory / "gateway", settings)


def _start_seconds(run: Path, stub: int) -> float:
    started = time.monotonic()
    process = _gateway(run / "gateway", stub)
    try:
        urllib.request.urlopen(f"{process.wait_until_it_listens()}/arrow/10k.whl", timeout=10).close()
        return time.monotonic() - started
    finally:
        process.stop()


@contextmanager
def _nginx(path: Path, configuration: str) -> Iterator[subprocess.Popen[bytes]]:
    path.write_text(configuration)
    nginx = shutil.which("nginx") or "/usr/sbin/nginx"
    environment = {"PATH": os.environ["PATH"], "AWS_S3_BUCKET": BUCKET, "AWS_ACCESS_KEY": KEY, "AWS_SECRET_KEY": SECRET}
    process = subprocess.Popen([nginx, "-c", str(path), "-e", str(path.with_suffix(".err"))], env=environment)
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def _fill(directory: Path) -> None:
    directory.mkdir(parents=True)
    for name, size in SIZES.items():
        with (directory / f"{name}.whl").open("wb") as file:
            if size <= SIZES["100m"]:
                file.write(os.urandom(size))
            else:
                file.truncate(size)


def _wait(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=5).close()
        except ConnectionError:
            time.sleep(0.02)
        except urllib.error.URLError as error:
            if not isinstance(error.reason, ConnectionError):
                raise
            time.sleep(0.02)
        else:
            return
    raise RuntimeError(f"{url} does not answer")


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [listener.getsockname()[1] for listener in sockets]
    for listener in sockets:
        listener.close()
    return ports
