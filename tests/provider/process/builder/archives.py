"""Build requests as faas-cli makes them, and as nobody should."""

from __future__ import annotations

import hashlib
import hmac
import io
import json
import tarfile
from collections.abc import Iterable, Mapping

SECRET = b"a payload secret"
IMAGE = "ttl.sh/me/fn:1.0"


def request_file(image: str = IMAGE, **more: object) -> bytes:
    return json.dumps({"image": image, "buildArgs": {}, "platforms": "linux/amd64", "skipPush": True, **more}).encode()


def member(
    name: str, data: bytes = b"", *, kind: bytes = tarfile.REGTYPE, link: str = "", mode: int = 0o644
) -> tuple[tarfile.TarInfo, bytes]:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname, entry.mode = kind, link, mode
    entry.size = len(data)
    return entry, data


def archive(members: Iterable[tuple[tarfile.TarInfo, bytes]], *, tar_format: int = tarfile.GNU_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tar_format) as tar:
        for entry, data in members:
            tar.addfile(entry, io.BytesIO(data))
    return out.getvalue()


def build_request(files: Mapping[str, str | bytes], *, image: str = IMAGE) -> bytes:
    """What faas-cli sends: the request first, then the context's folders and files."""
    members = [member("com.openfaas.docker.config", request_file(image), mode=0o664)]
    folders: set[str] = set()
    for name, text in files.items():
        parts = f"context/{name}".split("/")
        for length in range(1, len(parts)):
            folder = "/".join(parts[:length])
            if folder not in folders:
                folders.add(folder)
                members.append(member(folder + "/", kind=tarfile.DIRTYPE, mode=0o755))
        members.append(member("/".join(parts), text.encode() if isinstance(text, str) else text))
    return archive(members)


def with_checksums(body: bytes) -> bytes:
    """The archive with the sum of each header set right, so that what was changed in it is looked at."""
    mended = bytearray(body)
    for at in range(0, len(mended) - tarfile.BLOCKSIZE + 1, tarfile.BLOCKSIZE):
        if mended[at + 257 : at + 262] == b"ustar":
            mended[at + 148 : at + 156] = b" " * 8
            mended[at + 148 : at + 156] = b"%06o\0 " % sum(mended[at : at + tarfile.BLOCKSIZE])
    return bytes(mended)


def signature(body: bytes, secret: bytes = SECRET) -> str:
    return "sha256=" + hmac.new(secret, body, hashlib.sha256).hexdigest()


PYTHON3_HTTP = {
    "Dockerfile": "FROM python:3.12-alpine\n",
    "template.yml": "language: python3-http\nfprocess: python index.py\n",
    "index.py": "from flask import Flask, request\nfrom function import handler\nclass Event: ...\n",
    "requirements.txt": "flask\nwaitress\n",
    "function/__init__.py": "",
    "function/handler.py": 'def handle(event, context):\n    return {"statusCode": 200, "body": "built"}\n',
    "function/requirements.txt": "",
}
