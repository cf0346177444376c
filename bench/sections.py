"""The measurements, each yielding rows for the report."""

from __future__ import annotations

import contextlib
import statistics
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench import nginx
from bench.children import Child
from bench.gateway import gateway
from bench.herd import Answers, Herd, percentile
from bench.load import Load, Result, measure, median
from bench.programs import Programs
from bench.report import Row

READY_AFTER_S = 0.05


def proxying(programs: Programs, folder: Path, *, seconds: int, rounds: int) -> Iterator[Row]:
    """Cost of one call through nginx and through the gateway, in turns; the median of the rounds."""
    loads = [Load(connections, post, seconds) for post in (False, True) for connections in (1, 32, 256)]
    with (
        nginx.backend(programs, folder) as (backend, backend_port),
        nginx.proxy(programs, folder, backend_port) as (other, other_port),
        gateway(folder / "proxying", backend_port) as ours,
    ):
        targets = {
            "backend alone": (backend, f"http://127.0.0.1:{backend_port}/"),
            "nginx": (other, f"http://127.0.0.1:{other_port}/function/echo"),
            "gateway": (ours.process, f"http://127.0.0.1:{ours.port}/function/echo"),
        }
        for process, url in targets.values():  # warm
            measure(programs, folder, url, Load(32, post=False, seconds=1), process)
        for load in loads:
            results: dict[str, list[Result]] = {name: [] for name in targets}
            for _ in range(rounds):
                for name, (process, url) in targets.items():
                    results[name].append(measure(programs, folder, url, load, process))
            medians = {name: median(many) for name, many in results.items()}
            for name, median in medians.items():
                cpu_ratio = median.cpu_us / medians["nginx"].cpu_us
                yield {"load": load.name, "what": name, **asdict(median), "cpu_vs_nginx": cpu_ratio}


def workers(programs: Programs, folder: Path, *, seconds: int, rounds: int) -> Iterator[Row]:
    """One worker and two, of nginx and of the gateway, in turns.

    Here load, function and proxy share the processors, so requests per second say little; ``capacity_per_s`` is what
    so many workers carry, each with a processor to itself: their number divided by the processor time of a request.
    """
    load = Load(256, post=False, seconds=seconds)
    with contextlib.ExitStack() as stack:
        _, backend_port = stack.enter_context(nginx.backend(programs, folder))
        targets: dict[tuple[str, int], tuple[Child, str]] = {}
        for count in (1, 2):
            other, port = stack.enter_context(nginx.proxy(programs, folder, backend_port, workers=count))
            ours = stack.enter_context(gateway(folder / f"workers-{count}", backend_port, workers=count))
            targets["nginx", count] = other, f"http://127.0.0.1:{port}/function/echo"
            targets["gateway", count] = ours.process, f"http://127.0.0.1:{ours.port}/function/echo"
        for process, url in targets.values():  # warm
            measure(programs, folder, url, Load(32, post=False, seconds=1), process)
        results: dict[tuple[str, int], list[Result]] = {target: [] for target in targets}
        for _ in range(rounds):
            for target, (process, url) in targets.items():
                results[target].append(measure(programs, folder, url, load, process))
        medians = {target: median(many) for target, many in results.items()}
        for (what, count), median in sorted(medians.items(), reverse=True):
            memory = targets[what, count][0].proportional_bytes().values()
            yield {
                "what": what,
                "workers": count,
                **asdict(median),
                "capacity_per_s": count * 1e6 / median.cpu_us,
                "capacity_vs_one": count * medians[what, 1].cpu_us / median.cpu_us,
                "memory_mib": sum(memory) / 2**20,
            }


def observing(programs: Programs, folder: Path, *, seconds: int, rounds: int) -> Iterator[Row]:
    """What it costs to be told of calls one by one, beside the gateway that only counts them; in turns.

    Each ratio is the median of those of the rounds. Spans go to nginx, which takes them as any collector does.
    """
    with nginx.backend(programs, folder) as (_, backend_port), contextlib.ExitStack() as stack:
        kinds: dict[str, dict[str, Any]] = {
            "metrics": {},
            "metrics, traces": {"otlp_endpoint": f"http://127.0.0.1:{backend_port}"},
            "metrics, access log": {"access_log": True},
        }
        running = {
            name: stack.enter_context(gateway(folder / f"observing-{number}", backend_port, **settings))
            for number, (name, settings) in enumerate(kinds.items())
        }
        for load in (Load(32, post=False, seconds=seconds), Load(256, post=False, seconds=seconds)):
            results: dict[str, list[Result]] = {name: [] for name in running}
            for _ in range(rounds + 1):
                for name, ours in running.items():
                    url = f"http://127.0.0.1:{ours.port}/function/echo"
                    results[name].append(measure(programs, folder, url, load, ours.process))
            for name, many in results.items():
                warm = many[1:]
                ratios = [ours.cpu_us / plain.cpu_us for ours, plain in zip(warm, results["metrics"][1:], strict=True)]
                yield {"load": load.name, "on": name, **asdict(median(warm)), "cpu_ratio": statistics.median(ratios)}


def cold_start(programs: Programs, folder: Path, *, rounds: int) -> Iterator[Row]:
    """What the gateway adds to a start: each caller's whole time less the 50 ms the function takes to be ready."""
    with (
        nginx.backend(programs, folder) as (_, backend_port),
        gateway(folder / "cold", backend_port, ready_after_s=READY_AFTER_S) as ours,
    ):
        for callers in (1, 20, 200, 1000):
            repeats = max(3, rounds * 10 // (1 + callers // 100))
            answers, wakes = Answers(), []
            for _ in range(repeats):
                ours.scale(0)
                ours.until_asleep()
                before = ours.wakes()
                herd = Herd(ours.port, callers)
                herd.send()
                got = herd.answers()
                answers.seconds += got.seconds
                answers.failures += got.failures
                wakes.append(ours.wakes() - before)
            yield _cold_row(callers, repeats, answers, wakes)


def held(programs: Programs, folder: Path, *, callers: int) -> Iterator[Row]:
    """Memory of callers held at one sleeping function, what the next one gets, and whether all are answered."""
    with (
        nginx.backend(programs, folder) as (_, backend_port),
        gateway(folder / "held", backend_port, ready_after_s=20.0, max_held_per_function=callers) as ours,
    ):
        ours.scale(0)
        ours.until_asleep()
        idle = ours.process.resident_bytes()
        herd = Herd(ours.port, callers)
        herd.send()
        herd.wait_sent()
        ours.until_held(callers)
        grown = ours.process.resident_bytes() - idle
        extra = Herd(ours.port, 1)
        extra.send()
        refused = extra.answers().failures
        answers = herd.answers()
        yield {
            "callers": callers,
            "idle_mib": idle / 2**20,
            "grown_mib": grown / 2**20,
            "bytes_per_caller": grown / callers,
            "one_more": refused[0] if refused else "answered",
            "answered": len(answers.seconds),
            "failures": len(answers.failures),
            "wakes": ours.wakes(),
        }


def _cold_row(callers: int, repeats: int, answers: Answers, wakes: list[int]) -> Row:
    added_ms = [(seconds - READY_AFTER_S) * 1e3 for seconds in answers.seconds]
    return {
        "callers": callers,
        "rounds": repeats,
        "p50_ms": percentile(added_ms, 0.5),
        "p90_ms": percentile(added_ms, 0.9),
        "p99_ms": percentile(added_ms, 0.99),
        "max_ms": max(added_ms),
        "wakes_per_round": max(wakes),
        "failures": len(answers.failures),
    }
