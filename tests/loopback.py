"""Servers on the loopback that misbehave in every way that servers do, over HTTP and HTTPS."""

from __future__ import annotations

import http.server
import ssl
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest


class Server(http.server.ThreadingHTTPServer):
    """Answers every request by ``behave(handler, number of the request)`` and notes the ranges asked for."""

    daemon_threads = True

    def __init__(self, behave: Callable[[Handler, int], None], context: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.scheme = "http"
        if context is not None:
            self.socket = context.wrap_socket(self.socket, server_side=True)
            self.scheme = "https"
        self.behave = behave
        self.ranges: list[str | None] = []
        self.paths: list[str] = []

    def handle_error(self, *_: object) -> None:
        pass

    def url(self, path: str = "/NLMCXR_reports.tgz") -> str:
        return f"{self.scheme}://127.0.0.1:{self.server_port}{path}"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.ranges.append(self.headers.get("Range"))
        self.server.paths.append(self.path)
        self.server.behave(self, len(self.server.ranges))

    def log_message(self, *_: object) -> None:
        pass

    def give(
        self,
        body: bytes,
        *,
        tag: str = '"one"',
        cut: int | None = None,
        ranges: bool = True,
        announce: int | None = None,
    ) -> None:
        """``body``, honouring Range and If-Range; after ``cut`` bytes the connection breaks."""
        asked, condition = self.headers.get("Range"), self.headers.get("If-Range")
        start, end = 0, len(body)
        whole = len(body) if announce is None else announce
        if ranges and asked and condition in (None, tag):
            first, _, last = asked.removeprefix("bytes=").partition("-")
            start, end = int(first), int(last) + 1 if last else whole
            if start >= len(body):
                self.send_error(416)
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{whole}")
        else:
            self.send_response(200)
            end = whole
        self.send_header("Content-Length", str(end - start))
        if tag:
            self.send_header("ETag", tag)
        self.end_headers()
        self.wfile.write(body[start : end if cut is None else min(end, start + cut)])
        if cut is not None or end > len(body):
            self.close_connection = True


Behave = Callable[[Handler, int], None]
Serve = Callable[..., Server]


class Servers:
    """Starts servers and stops them all."""

    def __init__(self) -> None:
        self.started: list[Server] = []

    def __call__(self, behave: Behave, context: ssl.SSLContext | None = None) -> Server:
        server = Server(behave, context)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        self.started.append(server)
        return server

    def stop(self) -> None:
        for server in self.started:
            server.shutdown()
            server.server_close()


def certificate(folder: Path) -> Path:
    """A certificate for 127.0.0.1, signed by itself, its key in the same file; skips without OpenSSL's program."""
    key, signed, both = folder / "key.pem", folder / "cert.pem", folder / "both.pem"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
    ]
    command += ["-keyout", str(key), "-out", str(signed), "-days", "2", "-subj", "/CN=127.0.0.1"]
    try:
        subprocess.run(
            [*command, "-addext", "subjectAltName=IP:127.0.0.1"], capture_output=True, check=True, timeout=60
        )
    except FileNotFoundError:
        pytest.skip("openssl is not installed")
    both.write_bytes(key.read_bytes() + signed.read_bytes())
    return both


def secure(pem: Path) -> ssl.SSLContext:
    """What a server needs to speak HTTPS with the certificate in ``pem``."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    return context
