"""What the tests of a standalone cluster's HTTP services share."""

from __future__ import annotations

import contextlib
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


@contextlib.contextmanager
def _serving(answer):
    seen = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.answer("GET", b"")

        def do_POST(self):
            self.answer("POST", self.rfile.read(int(self.headers.get("Content-Length", 0))))

        def answer(self, method, body):
            seen.append((method, self.path, dict(self.headers), body))
            given = answer(self.path)
            if given is None:
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            status, content = given
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", seen
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def serving():
    """Serve HTTP in a block: `serving(answer)` gives its address and what it was asked (method, path, headers, body).

    `answer(path)` returns status and content, or None to hang up.
    """
    return _serving
