"""nginx as the function behind both proxies, and as the proxy to compare with."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from bench.children import Child, child, free_port
from bench.programs import Programs

_COMMON = """\
daemon off;
worker_processes {workers};
worker_rlimit_nofile 16384;
pid {folder}/nginx.pid;
error_log {folder}/error.log crit;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    keepalive_timeout 3600s;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    {inside}
}}
"""

_BACKEND = """server {{
        listen 127.0.0.1:{port} backlog=4096;
        location / {{ return 200 "hello world\\n"; }}
    }}"""

_PROXY = """upstream function {{
        server 127.0.0.1:{backend};
        keepalive 512;
        keepalive_requests 1000000000;
        keepalive_timeout 3600s;
    }}
    server {{
        listen 127.0.0.1:{port} backlog=4096{share};
        location /function/echo {{
            proxy_pass http://function/;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Host $http_host;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_set_header X-Request-Id $request_id;
            add_header X-Request-Id $request_id;
        }}
    }}"""


@contextlib.contextmanager
def backend(programs: Programs, folder: Path) -> Iterator[tuple[Child, int]]:
    """Answers every request with 12 bytes."""
    with _nginx(programs, folder / "backend", _BACKEND) as started:
        yield started


@contextlib.contextmanager
def proxy(programs: Programs, folder: Path, backend_port: int, *, workers: int = 1) -> Iterator[tuple[Child, int]]:
    """Connections kept to both sides, and headers of the same kind as the gateway adds.

    Several workers share the port as the gateway's do: each has a socket, the kernel deals connections out.
    """
    share = " reuseport" if workers > 1 else ""
    with _nginx(programs, folder / f"proxy-{workers}", _PROXY, workers, backend=backend_port, share=share) as started:
        yield started


@contextlib.contextmanager
def _nginx(
    programs: Programs, folder: Path, inside: str, workers: int = 1, **values: object
) -> Iterator[tuple[Child, int]]:
    folder.mkdir()
    port = free_port()
    configuration = folder / "nginx.conf"
    configuration.write_text(_COMMON.format(folder=folder, workers=workers, inside=inside.format(port=port, **values)))
    command = [str(programs.nginx), "-p", str(folder), "-c", str(configuration), "-e", str(folder / "error.log")]
    with child("nginx", command, port=port, log=folder / "output.log") as process:
        yield process, port
