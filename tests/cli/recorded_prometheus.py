"""A real Prometheus whose memory was written beforehand: hours of scrapes in a second, by promtool."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

from springtide.cli.tools import Tools

WAIT_S = 60.0

Sample = tuple[str, float, float]
"""A series with its labels, seconds since the epoch, and its value."""


def exposition(kinds: Mapping[str, str], samples: list[Sample]) -> str:
    """OpenMetrics; the samples of a metric stand together."""
    lines = []
    for name, kind in kinds.items():
        lines.append(f"# TYPE {name} {kind}")
        lines += [f"{series} {value} {at}" for series, at, value in samples if series.split("{")[0] == name]
    return "\n".join([*lines, "# EOF", ""])


@contextlib.contextmanager
def prometheus_with(tools: Tools, folder: Path, text: str) -> Iterator[str]:
    """Yields its URL."""
    file, data = folder / "samples.txt", folder / "data"
    file.write_text(text)
    subprocess.run(
        [tools.promtool, "tsdb", "create-blocks-from", "openmetrics", file, data], check=True, capture_output=True
    )
    (folder / "prometheus.yml").write_text("{}\n")
    log = (folder / "log").open("w+")
    process = subprocess.Popen(
        [
            tools.prometheus,
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={data}",
            "--storage.tsdb.retention.time=10y",
            "--web.listen-address=127.0.0.1:0",
            "--log.format=json",
        ],
        stderr=log,
    )
    try:
        yield f"http://{asyncio.run(_address(folder / 'log'))}"
    finally:
        process.kill()
        process.wait()
        log.close()


async def _address(log: Path) -> str:
    async with asyncio.timeout(WAIT_S):
        while True:
            told = [json.loads(line) for line in log.read_text().splitlines() if line.endswith("}")]
            if any(str(each.get("msg", "")).startswith("Server is ready") for each in told):
                return next(str(each["address"]) for each in told if each.get("msg") == "Listening on")
            await asyncio.sleep(0.05)
