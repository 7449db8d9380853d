"""The two nginx servers of the rig: the bucket's stub, and the setup that the gateway replaces."""

import os
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

BUCKET = "my-pypi"
KEY, SECRET = "AKIAEXAMPLE", "examplesecret"
_MODULES = Path("/usr/lib/nginx/modules")
_NEEDED = ["ndk_http_module.so", "ngx_http_lua_module.so", "ngx_http_set_misc_module.so"]

_COMMON = """
{modules}
worker_processes 1; daemon off; pid {run}/{name}.pid; error_log {run}/{name}.err;
events {{ worker_connections 8192; }}
"""
_PATHS = """
  access_log off; keepalive_requests 100000000; client_body_temp_path {run}/t1; proxy_temp_path {run}/t2;
  fastcgi_temp_path {run}/t3; uwsgi_temp_path {run}/t4; scgi_temp_path {run}/t5;
"""
# `far` behaves like an S3 elsewhere: 30 ms to the first byte, and 80 MB/s for each connection.
STUB = (
    _COMMON
    + "http {{"
    + _PATHS
    + """
  sendfile on; tcp_nopush on; default_type application/octet-stream; types {{ text/html html; }}
  server {{
    listen 127.0.0.1:{stub} backlog=4096; listen 127.0.0.1:{stub_tls} ssl backlog=4096; root {run}/bucket;
    ssl_certificate {certificate}; ssl_certificate_key {key}; ssl_session_cache shared:stub:10m;
  }}
  log_format sent "$body_bytes_sent $http_range $uri";
  server {{
    listen 127.0.0.1:{far} backlog=4096; root {run}/bucket; access_log {run}/far.log sent;
    limit_rate 80m; access_by_lua_block {{ ngx.sleep(0.03) }}
  }}
}}
"""
)
# One worker; no upstream keep-alive on `lua` (as people run it), keep-alive on the others.
LUA = (
    "env AWS_S3_BUCKET; env AWS_ACCESS_KEY; env AWS_SECRET_KEY;"
    + _COMMON
    + "http {{"
    + _PATHS
    + """
  upstream stub {{ server 127.0.0.1:{stub}; }}
  upstream stub_keep {{ server 127.0.0.1:{stub}; keepalive 128; keepalive_requests 100000000; }}
  upstream stub_tls {{ server 127.0.0.1:{stub_tls}; keepalive 128; keepalive_requests 100000000; }}
  upstream stub_far {{ server 127.0.0.1:{far}; keepalive 128; keepalive_requests 100000000; }}
  map $server_port $target {{
    {lua} http://stub; {lua_keep} http://stub_keep; {lua_tls} https://stub_tls; {lua_far} http://stub_far;
  }}
  map $server_port $connection_to_stub {{ {lua} close; default ""; }}
  server {{
    listen 127.0.0.1:{lua} backlog=4096; listen 127.0.0.1:{lua_keep} backlog=4096;
    listen 127.0.0.1:{lua_tls} backlog=4096; listen 127.0.0.1:{lua_far} backlog=4096;
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
)


def missing() -> str | None:
    """What keeps the rig from running here."""
    for command in ("nginx", "wrk"):
        if shutil.which(command) is None and not Path("/usr/sbin", command).exists():
            return f"{command} is not installed"
    absent = [module for module in _NEEDED if not (_MODULES / module).exists()]
    return f"nginx lacks {', '.join(absent)}" if absent else None


@contextmanager
def nginx(run: Path, name: str, template: str, **values: object) -> Iterator[subprocess.Popen[bytes]]:
    """One that runs in `run`, configured by `template` and `values`."""
    path = run / f"{name}.conf"
    modules = "\n".join(f"load_module {_MODULES / module};" for module in _NEEDED)
    path.write_text(template.format(run=run, name=name, modules=modules, bucket=BUCKET, **values))
    command = shutil.which("nginx") or "/usr/sbin/nginx"
    environment = {"PATH": os.environ["PATH"], "AWS_S3_BUCKET": BUCKET, "AWS_ACCESS_KEY": KEY, "AWS_SECRET_KEY": SECRET}
    process = subprocess.Popen([command, "-c", str(path), "-e", str(path.with_suffix(".err"))], env=environment)
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    """Until it answers."""
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
