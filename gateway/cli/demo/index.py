"""The other index of the demo, on loopback: one project, as a page (PEP 503) with its files beside it."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from gateway.cli.demo.packages import index_page


@contextmanager
def serving(project: str, files: Mapping[str, bytes]) -> Iterator[str]:
    """Serves the index while the context is entered; yields the index's URL."""
    answers = {f"/simple/{project}/{name}": (content, "application/octet-stream") for name, content in files.items()}
    answers[f"/simple/{project}/"] = index_page(files), "text/html; charset=utf-8"

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body, content_type = answers.get(self.path, (b"", ""))
            self.send_response(200 if content_type else 404)
            if content_type:
                self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        do_HEAD = do_GET  # noqa: N815

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
            """Logs nothing: the gateway's own log shows the requests."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/simple/"
        finally:
            server.shutdown()
            thread.join()
