"""Scripts, styles and the chart library, from memory: compressed once, cached by browsers for as long as they like."""

from __future__ import annotations

import gzip
import hashlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path

import structlog
from starlette.requests import Request
from starlette.responses import Response

STATIC = Path(__file__).parent / "static"
CHARTS = "charts-library.js"
_TYPES = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml"}
_FOR_EVER = "public, max-age=31536000, immutable"

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Asset:
    media_type: str
    content: bytes
    compressed: bytes


class Assets:
    """``folder`` is the path of all of them: it changes whenever one of them does, so none is ever out of date."""

    def __init__(self) -> None:
        files = {file.name: file.read_bytes() for file in sorted(STATIC.iterdir()) if file.suffix in _TYPES}
        library = _chart_library()
        self.has_charts = library is not None
        if library is not None:
            files[CHARTS] = library.read_bytes()
        digest = hashlib.sha256()
        for name, content in files.items():
            digest.update(name.encode() + b"\0" + content)
        self.folder = f"/ui/static/{digest.hexdigest()[:12]}"
        self._assets = {
            name: Asset(_TYPES[Path(name).suffix], content, gzip.compress(content, 9, mtime=0))
            for name, content in files.items()
        }

    def answer(self, request: Request) -> Response:
        """One file; of another version's folder, too, since only the newest is there."""
        asset = self._assets.get(request.path_params["name"])
        if asset is None:
            return Response("404 page not found", 404, media_type="text/plain")
        ours = request.path_params["version"] == self.folder.rpartition("/")[2]
        headers = {"cache-control": _FOR_EVER if ours else "no-store", "vary": "accept-encoding"}
        if "gzip" in request.headers.get("accept-encoding", ""):
            headers["content-encoding"] = "gzip"
            return Response(asset.compressed, media_type=asset.media_type, headers=headers)
        return Response(asset.content, media_type=asset.media_type, headers=headers)


def _chart_library() -> Path | None:
    """TradingView's Lightweight Charts, as the package litecharts carries it; found without importing that."""
    spec = importlib.util.find_spec("litecharts")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        file = Path(folder) / "js" / "lightweight-charts.js"
        if file.is_file():
            return file
    log.warning("no chart library: pages show numbers only; install the package litecharts")
    return None
