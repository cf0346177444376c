"""wrk: as many requests as a number of connections can carry for a while."""

from __future__ import annotations

import re
import statistics
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.children import Child
from bench.programs import Programs

_UNIT_MS = {"us": 1e-3, "ms": 1.0, "s": 1e3}
_POST = 'wrk.method = "POST"\nwrk.body = string.rep("x", {size})\nwrk.headers["Content-Type"] = "text/plain"\n'


@dataclass(frozen=True, slots=True)
class Load:
    connections: int
    post: bool
    seconds: int
    size: int = 10240
    """Bytes of a POST's body."""

    @property
    def name(self) -> str:
        return f"{'POST 10 KB' if self.post else 'GET'}, {self.connections} conn."


@dataclass(frozen=True, slots=True)
class Result:
    cpu_us: float
    """Processor time of the proxy per request."""
    per_s: float
    p50_ms: float
    p99_ms: float
    errors: int


def measure(
    programs: Programs, folder: Path, url: str, load: Load, proxy: Child, *, headers: Mapping[str, str] | None = None
) -> Result:
    """Load ``url`` and take the processor time that ``proxy`` spends on it."""
    script = folder / "post.lua"
    more = (f'wrk.headers["{name}"] = "{value}"\n' for name, value in (headers or {}).items())
    script.write_text(_POST.format(size=load.size) + "".join(more))
    command = [str(programs.wrk), "-t1", f"-c{load.connections}", f"-d{load.seconds}s", "--latency", url]
    if load.post:
        command[1:1] = ["-s", str(script)]
    before = proxy.cpu_s()
    output = subprocess.run(
        command,
        check=True,
        capture_output=True,
        text=True,
        timeout=load.seconds + 30,
        env=dict(programs.environment),
    ).stdout
    used_s = proxy.cpu_s() - before
    requests = int(_found(r"(\d+) requests in", output))
    return Result(
        cpu_us=used_s / requests * 1e6,
        per_s=float(_found(r"Requests/sec:\s+([\d.]+)", output)),
        p50_ms=_latency_ms("50%", output),
        p99_ms=_latency_ms("99%", output),
        errors=_errors(output),
    )


def _found(pattern: str, output: str) -> str:
    match = re.search(pattern, output)
    if match is None:
        raise RuntimeError(f"wrk said nothing of {pattern}:\n{output}")
    return match[1]


def _latency_ms(percentile: str, output: str) -> float:
    value = _found(rf"{percentile}\s+([\d.]+(?:us|ms|s))", output)
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s)", value).groups()  # type: ignore[union-attr]
    return float(number) * _UNIT_MS[unit]


def _errors(output: str) -> int:
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", output)
    broken = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", output)
    return (int(bad[1]) if bad else 0) + (sum(map(int, broken.groups())) if broken else 0)


def median(results: list[Result]) -> Result:
    """Of each number by itself; errors are added up, so that none is lost."""
    return Result(
        cpu_us=statistics.median(result.cpu_us for result in results),
        per_s=statistics.median(result.per_s for result in results),
        p50_ms=statistics.median(result.p50_ms for result in results),
        p99_ms=statistics.median(result.p99_ms for result in results),
        errors=sum(result.errors for result in results),
    )
