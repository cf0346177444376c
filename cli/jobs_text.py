"""Asynchronous calls as lines and tables."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from datetime import datetime

import click

from springtide.cli.commands.options import print_table
from springtide.cli.gateway_client import Json
from springtide.cli.terminal_text import lines, one_line
from springtide.runtime.durations import format_duration
from springtide.wire.jobs.status_json import body_of

COLOURS: Mapping[str, str] = {"running": "green", "retrying": "yellow", "failed": "red", "cancelled": "bright_black"}

_SHOWN = (
    *("id", "state", "function", "namespace", "queue", "tenant", "method", "path", "query", "attempts", "status"),
    *("reason", "accepted_at", "not_before", "started_at", "finished_at", "next_attempt_at", "callback", "dead_at"),
)


def print_jobs(jobs: Sequence[Json]) -> None:
    now = time.time()
    rows = [
        (job["id"], job["function"], job["state"], job["attempts"], age(job["accepted_at"], now), _last(job, now))
        for job in jobs
    ]
    print_table(
        ("Id", "Function", "State", "Attempts", "Age", "Last"), rows, [COLOURS.get(job["state"]) for job in jobs]
    )


def print_letters(letters: Sequence[Json]) -> None:
    now = time.time()
    rows = [
        (
            letter["id"],
            letter["queue"],
            letter["function"],
            letter["attempts"],
            age(letter["dead_at"], now),
            letter["status"] or "-",
            letter["reason"] or "",
        )
        for letter in letters
    ]
    print_table(("Id", "Queue", "Function", "Attempts", "Dead for", "Status", "Reason"), rows)


def print_job(job: Json) -> None:
    """All that is known of one, and the beginnings of what was said."""
    for key in _SHOWN:
        if job.get(key) not in (None, ""):
            _print_field(key.replace("_", " ").removesuffix(" at"), job[key])
    if job.get("headers"):
        for name, values in job["headers"].items():
            _print_field("header", f"{name}: {', '.join(values)}")
    if "size" in job:
        _print_body("body", job)
    if job.get("answer"):
        for name, values in job["answer"]["headers"].items():
            _print_field("answer header", f"{name}: {', '.join(values)}")
        _print_body("answer", job["answer"])


def print_answer(job: Json) -> None:
    """The body of a call's answer: byte for byte into a file or another program, as text onto a terminal."""
    answer = job.get("answer")
    if not answer:
        return
    body = body_of(answer)
    sys.stdout.flush()
    sys.stdout.buffer.write(lines(body.decode(errors="backslashreplace")).encode() if sys.stdout.isatty() else body)
    sys.stdout.buffer.flush()
    if answer["truncated"]:
        click.echo(f"springtide: this is the beginning of the answer, {answer['size']} bytes", err=True)


def verdict(job: Json) -> str:
    """Why a call that has ended did not go well; empty: it did."""
    status = (job.get("answer") or {}).get("status") or 0
    if job["state"] == "done" and 200 <= status < 300:
        return ""
    what = f"{job['function']} answered {status}" if status else f"{job['function']} did not answer"
    told = what if job["state"] == "done" else f"{job['state']}: {job['reason'] or what}"
    return one_line(f"{job['id']}: {told}")


def count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def age(instant: str | None, now: float) -> str:
    if instant is None:
        return "-"
    return _whole_seconds(now - datetime.fromisoformat(instant).timestamp())


def _last(job: Json, now: float) -> str:
    """What is best known of how it goes."""
    if job["state"] == "delayed" and job["not_before"]:
        return f"in {_until(job['not_before'], now)}"
    if job["state"] == "retrying" and job["next_attempt_at"]:
        return f"{job['status'] or 'no answer'}, again in {_until(job['next_attempt_at'], now)}"
    return " ".join(str(part) for part in (job["status"], job["reason"]) if part)


def _until(instant: str, now: float) -> str:
    return _whole_seconds(datetime.fromisoformat(instant).timestamp() - now)


def _whole_seconds(seconds: float) -> str:
    return format_duration(float(round(seconds))) if seconds >= 0.5 else "0s"


def _print_field(name: str, value: object) -> None:
    click.echo(f"{click.style(one_line(name).capitalize().ljust(14), bold=True)} {one_line(value)}")


def _print_body(name: str, holder: Json) -> None:
    kind = "bytes" if holder["encoding"] == "text" else "bytes, in base64"
    rest = ", its beginning" if holder["truncated"] else ""
    _print_field(name, f"{holder['size']} {kind}{rest}")
    if holder["body"]:
        click.echo(lines(holder["body"]))
