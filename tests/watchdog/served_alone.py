"""A program: one replica of the watchdog in whatever interpreter runs this, under another name, called once.

Arguments: the folder above the package, the mode, and a folder for its files. Prints what a caller got.
"""

from __future__ import annotations

import contextlib
import http.client
import importlib
import json
import os
import signal
import socket
import sys
import threading
from pathlib import Path

PROGRAM = """
import http.server, os
class Answers(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    do_GET = lambda self: self.send_error(404)
    log_message = lambda *_: None
http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Answers).serve_forever()
"""
HANDLER = """
def handle(event, context):
    return {"statusCode": 200, "body": event.body}
"""


def call(port: int, ready: int) -> None:
    try:
        os.read(ready, 1)
        found = []
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
            for method, path in (("POST", "/file"), ("GET", "/_/health"), ("GET", "/_/metrics")):
                connection.request(method, path, b"body" if method == "POST" else None)
                response = connection.getresponse()
                found.append((response.status, response.read().decode()))
        sys.stdout.write(json.dumps(found))
    finally:
        os.kill(os.getpid(), signal.SIGTERM)


def main(package: str, mode: str, folder: Path) -> int:
    sys.path.insert(0, package)
    serve = importlib.import_module("_springtide_watchdog.serve")
    (folder / "handler.py").write_text(HANDLER)
    (folder / "program.py").write_text(PROGRAM)
    (folder / "file").write_text("body")
    env = {"PATH": os.environ["PATH"]}
    if mode != "python":
        commands = {"http": f"{sys.executable} {folder / 'program.py'}", "static": ""}
        env = {**env, "mode": mode, "static_path": str(folder), "fprocess": commands.get(mode, "cat")}
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        read, write = os.pipe()
        threading.Thread(target=call, args=(listener.getsockname()[1], read), daemon=True).start()
        spec = serve.ReplicaSpec("h", env, 0.0, 5.0, str(folder) if mode == "python" else None)
        status: int = serve.run(spec, listener=os.dup(listener.fileno()), ready=write)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], Path(sys.argv[3])))
