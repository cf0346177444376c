"""A registry of images, as engines pull from it: small images that are made up, behind a user and a password."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"


class Registry:
    """Images by name; a tag means nothing. Whoever is not ``user`` with ``password`` is refused, where there is one."""

    def __init__(self, *, user: str = "", password: str = "") -> None:
        self._login = f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}" if user else ""
        self._blobs: dict[str, bytes] = {}
        self._manifests: dict[str, str] = {}

    def add(self, name: str, content: str) -> None:
        """An image with one file that says this."""
        layer, config = _layer(content), dict[str, object]()
        config = {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Cmd": ["/none"]},
            "rootfs": {"type": "layers", "diff_ids": [_digest(layer)]},
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": self._blob(json.dumps(config).encode(), CONFIG),
            "layers": [self._blob(layer, LAYER)],
        }
        self._manifests[name] = str(self._blob(json.dumps(manifest).encode(), MANIFEST)["digest"])

    def answer(self, path: str, authorization: str) -> tuple[int, str, bytes]:
        """Status, type and body of what is asked for below ``/v2/``."""
        if authorization != self._login:
            return 401, "text/plain", b""
        *name, kind, wanted = path.removeprefix("/v2/").split("/") if path != "/v2/" else ("", "", "")
        digest = self._manifests.get("/".join(name), "") if kind == "manifests" and ":" not in wanted else wanted
        if path != "/v2/" and digest not in self._blobs:
            return 404, "text/plain", b""
        return 200, MANIFEST if kind == "manifests" else "application/octet-stream", self._blobs.get(digest, b"")

    def _blob(self, data: bytes, kind: str) -> dict[str, object]:
        self._blobs[_digest(data)] = data
        return {"mediaType": kind, "digest": _digest(data), "size": len(data)}


@contextmanager
def serving(registry: Registry, port: int) -> Iterator[None]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            status, kind, body = registry.answer(self.path, self.headers.get("Authorization", ""))
            self.send_response(status)
            if status == 401:
                self.send_header("WWW-Authenticate", 'Basic realm="tests"')
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            if body:
                self.send_header("Docker-Content-Digest", _digest(body))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        do_HEAD = do_GET  # noqa: N815 - as the server calls it

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


def _layer(content: str) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        entry = tarfile.TarInfo("content.txt")
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content.encode()))
    return packed.getvalue()


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"
