"""nginx, HAProxy and Varnish in front of a gateway, with connections to it that all their clients share. Loopback."""

import asyncio
import getpass
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from gateway.cli.demo.seaweed import _free_ports

_START_SECONDS = 60

_NGINX = """
worker_processes 1; daemon off; pid {run}/nginx.pid; error_log {run}/nginx.err; user {user};
events {{ worker_connections 1024; }}
http {{
  access_log off; client_body_temp_path {run}/t1; proxy_temp_path {run}/t2; fastcgi_temp_path {run}/t3;
  uwsgi_temp_path {run}/t4; scgi_temp_path {run}/t5;
  upstream gateway {{ server 127.0.0.1:{upstream}; keepalive 4; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://gateway; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_request_buffering off; proxy_next_upstream off;
    }}
  }}
}}
"""
_HAPROXY = """
global
  maxconn 1000
defaults
  mode http
  timeout connect 20s
  timeout client 60s
  timeout server 60s
  http-reuse always
frontend clients
  bind 127.0.0.1:{port}
  default_backend gateway
backend gateway
  server gateway 127.0.0.1:{upstream} pool-max-conn 4
"""
_VARNISH = """
vcl 4.1;
backend gateway {{ .host = "127.0.0.1"; .port = "{upstream}"; }}
sub vcl_recv {{ return (pass); }}
"""
PROXIES = {"nginx": "nginx", "haproxy": "haproxy", "varnish": "varnishd"}


def unavailable(proxy: str) -> str | None:
    """Why it can't be used here."""
    return None if shutil.which(PROXIES[proxy]) else f"{proxy} is not installed"


# As the manual has it: people need the cookie `who=NAME`, which makes them members of `data`; installers pass.
NGINX_WITH_LOGIN = """
worker_processes 1; daemon off; pid {run}/nginx.pid; error_log {run}/nginx.err; user {user};
events {{ worker_connections 1024; }}
http {{
  access_log off; client_body_temp_path {run}/t1; proxy_temp_path {run}/t2; fastcgi_temp_path {run}/t3;
  uwsgi_temp_path {run}/t4; scgi_temp_path {run}/t5;
  map $http_accept $person {{
    default "";
    "~application/xhtml\\+xml" yes;
  }}
  server {{
    listen 127.0.0.1:{port};
    location = /auth {{
      internal;
      if ($person = "") {{ return 204; }}
      if ($http_authorization) {{ return 204; }}
      proxy_pass http://unix:{run}/auth.sock;
      proxy_pass_request_body off;
      proxy_set_header Content-Length "";
    }}
    location / {{
      auth_request /auth;
      auth_request_set $user $upstream_http_x_auth_request_user;
      auth_request_set $groups $upstream_http_x_auth_request_groups;
      proxy_set_header X-Auth-Request-User $user;
      proxy_set_header X-Auth-Request-Groups $groups;
      proxy_pass http://127.0.0.1:{upstream};
    }}
  }}
  server {{
    listen unix:{run}/auth.sock;
    add_header X-Auth-Request-User $cookie_who;
    add_header X-Auth-Request-Groups "staff,data";
    if ($cookie_who = "") {{ return 401; }}
    return 204;
  }}
}}
"""


@asynccontextmanager
async def running(proxy: str, run: Path, upstream: int, given: str | None = None) -> AsyncIterator[int]:
    """The port of `proxy` in front of the port `upstream`; `given` is its configuration, if not the usual one."""
    port = _free_ports(1)[0]
    run.chmod(0o755)
    text = given or {"nginx": _NGINX, "haproxy": _HAPROXY, "varnish": _VARNISH}[proxy]
    config = run / f"{proxy}.conf"
    config.write_text(text.format(run=run, port=port, upstream=upstream, user=getpass.getuser()))
    command = {
        "nginx": ["nginx", "-c", str(config), "-p", str(run)],
        "haproxy": ["haproxy", "-db", "-f", str(config)],
        "varnish": ["varnishd", "-F", "-n", str(run), "-j", "none", "-a", f"127.0.0.1:{port}", "-f", str(config)],
    }[proxy]
    with (run / "output").open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)  # noqa: ASYNC220  it only starts
    try:
        async with asyncio.timeout(_START_SECONDS):
            while not await _answers(port):
                assert process.poll() is None, (run / "output").read_text()
        yield port
    finally:
        process.terminate()
        process.wait(20)


async def _answers(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        await asyncio.sleep(0.02)
        return False
    writer.close()
    await writer.wait_closed()
    return True
