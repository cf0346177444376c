"""An image as engines load it: layers, and what it runs, in one archive of Docker's format, which Podman reads, too."""

from __future__ import annotations

import hashlib
import io
import json
import platform
import tarfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm"}
"""What Go calls those that Linux calls otherwise."""
PIECE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Layer:
    """An uncompressed tar of files, and its hash."""

    file: IO[bytes]
    digest: str


def layer_of(file: IO[bytes]) -> Layer:
    """Of what was written to the file. Blocks."""
    content = hashlib.sha256()
    file.seek(0)
    while data := file.read(PIECE_BYTES):
        content.update(data)
    return Layer(file, content.hexdigest())


def write(to: IO[bytes], name: str, layers: Sequence[Layer], runs: Mapping[str, Any]) -> None:
    """``name`` has its tag; ``runs`` is the image's configuration as Docker spells it. Blocks."""
    config = {
        "architecture": ARCHITECTURES.get(platform.machine(), platform.machine()),
        "os": "linux",
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "config": dict(runs),
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer.digest}" for layer in layers]},
    }
    manifest = {
        "Config": "config.json",
        "RepoTags": [name],
        "Layers": [f"{layer.digest}/layer.tar" for layer in layers],
    }
    with tarfile.open(fileobj=to, mode="w") as tar:
        for layer in layers:
            entry = tarfile.TarInfo(f"{layer.digest}/layer.tar")
            entry.size = layer.file.seek(0, io.SEEK_END)
            layer.file.seek(0)
            tar.addfile(entry, layer.file)
        _add(tar, "config.json", config)
        _add(tar, "manifest.json", [manifest])


def _add(tar: tarfile.TarFile, name: str, value: object) -> None:
    data = json.dumps(value).encode()
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    tar.addfile(entry, io.BytesIO(data))
