"""Asynchronous calls as lines and tables."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import datetime

from springtide.cli.commands.options import print_table
from springtide.cli.gateway_client import Json
from springtide.cli.job_body import print_body, print_field
from springtide.cli.terminal_text import one_line
from springtide.runtime.durations import format_duration

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
            print_field(key.replace("_", " ").removesuffix(" at"), job[key])
    if delivery := job.get("callback_delivery"):
        print_field("told", delivery_text(delivery, time.time()))
    of_letter = "dead_at" in job
    if job["state"] == "failed" and not of_letter:
        print_field("dead letter", f"springtide dead show {job['id']}")
    for name, values in (job.get("headers") or {}).items():
        print_field("header", f"{name}: {', '.join(values)}")
    if "size" in job:
        headers = {} if job.get("of_callback") else job.get("headers") or {}
        print_body("body", job, headers, command=f"springtide dead show {job['id']} --output FILE")
    if answer := job.get("answer"):
        for name, values in answer["headers"].items():
            print_field("answer header", f"{name}: {', '.join(values)}")
        print_body("answer", answer, answer["headers"], command=f"springtide jobs show {job['id']} --output FILE")


def delivery_text(delivery: Json, now: float) -> str:
    """How telling a caller goes, in a sentence."""
    attempts, state = delivery["attempts"], delivery["state"]
    if not attempts:
        return "not yet; the answer is to be sent"
    tried = f"tried {count(attempts, 'time')}"
    why = f" ({delivery['reason']})" if delivery["reason"] and state == "retrying" else ""
    last = f"the last answer was {delivery['status']}" if delivery["status"] else f"no answer came the last time{why}"
    if state == "done":
        return f"yes, at {delivery['tried_at']}: {tried}, {last}"
    if state == "retrying":
        again = delivery["next_attempt_at"]
        return f"not yet: {tried}, {last}" + (f"; again in {_until(again, now)}" if again else "")
    ended = f"given up, {tried}: {delivery['reason'] or last}"
    letter = delivery["dead_letter"]
    return f"{ended}; springtide dead show {letter}" if letter else f"{ended}; its dead letter was thrown away"


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
    parts = (job["status"], job["reason"], _told(job.get("callback_delivery"), now))
    return ", ".join(str(part) for part in parts if part)


def _told(delivery: Json | None, now: float) -> str:
    """Where it is not as it should be."""
    if delivery is None or delivery["state"] == "done":
        return ""
    if delivery["state"] == "retrying" and delivery["next_attempt_at"]:
        tried = count(delivery["attempts"], "time")
        return f"callback tried {tried}, again in {_until(delivery['next_attempt_at'], now)}"
    return "callback to be sent" if not delivery["attempts"] else "callback given up"


def _until(instant: str, now: float) -> str:
    return _whole_seconds(datetime.fromisoformat(instant).timestamp() - now)


def _whole_seconds(seconds: float) -> str:
    return format_duration(float(round(seconds))) if seconds >= 0.5 else "0s"
