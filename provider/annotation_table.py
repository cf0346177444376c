"""The annotations of a function that Springtide reads: what each may say, what holds without it, what it means.

Whoever reads them, a provider checks them when a function is deployed (``annotation_values``), and what is nearly one
of these names is told. ``docs/reference/labels.md`` is made from this table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from springtide.runtime.durations import format_duration, parse_duration_s
from springtide.scaler.core import loads
from springtide.scaler.core.call_timeout import EXEC_TIMEOUT, TIMEOUT
from springtide.scaler.core.label_names import HANDLER, LANG
from springtide.scaler.core.label_table import (
    CONNECTOR,
    CRON,
    GATEWAY,
    KUBERNETES,
    PROMETHEUS,
    PROVIDER,
    QUEUE_WORKER,
    SCALER,
    Row,
    one_of,
)
from springtide.wire.events import delivery_mode, topics
from springtide.wire.schedules import annotations as schedules
from springtide.wire.webhooks import webhook

HEALTH, READY, RETRY = "com.openfaas.health.http.", "com.openfaas.ready.http.", "com.openfaas.retry."
QUEUE, PROFILE = "com.openfaas.queue", "com.openfaas.profile"
SERVICE_ACCOUNT = "com.openfaas.serviceaccount"
SCRAPE, SCRAPE_PATH, SCRAPE_PORT = (f"prometheus.io.{name}" for name in ("scrape", "path", "port"))

MAX_PROBE_S = 86_400
MAX_THRESHOLD = MAX_ATTEMPTS = 10_000
DURATION = "duration, such as `30s` or `2m`"


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotation(Row):
    """``parse`` raises ValueError that says what to write instead; None where the name's owner checks it."""

    parse: Callable[[str], object] | None = None


def path(text: str) -> str:
    if not text.startswith("/"):
        raise ValueError("write a path that starts with /, such as /_/health")
    return text


def whole(text: str, *, least: int, most: int) -> int:
    if not text.isascii() or not text.isdecimal() or len(text.lstrip("0")) > len(str(most)):
        raise ValueError(f"write a whole number, {least} to {most}")
    if not least <= int(text) <= most:
        raise ValueError(f"write {least} to {most}")
    return int(text)


threshold = partial(whole, least=1, most=MAX_THRESHOLD)


def probe_seconds(text: str, *, least: int = 0) -> int:
    """Whole seconds, the rest cut off."""
    seconds = parse_duration_s(text)
    if int(seconds) < least:
        raise ValueError(f"write at least {least} s")
    if seconds > MAX_PROBE_S:
        raise ValueError(f"write at most {MAX_PROBE_S // 3600}h")
    return int(seconds)


def _probe(prefix: str, what: str) -> Iterator[Annotation]:
    most = f"at most {MAX_PROBE_S // 3600}h"
    for name, least, meaning in (
        ("initialDelay", 0, "time after the start before it is asked"),
        ("period", 1, "time from one question to the next"),
        ("timeout", 1, "how long one answer may take"),
    ):
        for spelling in (name, f"{name}Seconds"):
            yield Annotation(
                key=prefix + spelling,
                values=f"duration in whole seconds, at least {least}s, {most}; or their number",
                example="5s" if spelling == name else "5",
                unset="the provider's setting",
                meaning=f"{what}: {meaning}" + ("" if spelling == name else "; wins over the name without `Seconds`"),
                readers=(KUBERNETES,),
                parse=partial(probe_seconds, least=least),
            )
    yield Annotation(
        key=prefix + "path",
        values="path that begins with `/`",
        example="/_/ready",
        default="/_/health",
        meaning=f"{what}: where the function is asked by HTTP",
        readers=(PROVIDER,) if prefix == READY else (KUBERNETES,),
        parse=path,
    )
    for name, default, meaning in (
        ("successThreshold", 1, "answers in a row after which it is taken for well; 1 for health"),
        ("failureThreshold", 3, "failures in a row after which it is not"),
    ):
        yield Annotation(
            key=prefix + name,
            values=f"whole number, 1 to {MAX_THRESHOLD}",
            example="1",
            default=str(default),
            meaning=f"{what}: {meaning}",
            readers=(KUBERNETES,),
            parse=threshold,
        )


_RETRIES = (
    Annotation(
        key=RETRY + "attempts",
        values=f"whole number, 0 to {MAX_ATTEMPTS}",
        example="3",
        unset="the queue worker's `max_retry_attempts`; 0 means the same",
        meaning="tries of an asynchronous call, the first one included",
        readers=(QUEUE_WORKER,),
        parse=partial(whole, least=0, most=MAX_ATTEMPTS),
    ),
    Annotation(
        key=RETRY + "codes",
        values="HTTP statuses, separated by commas",
        example="429,503",
        unset="the queue worker's `retry_http_codes`",
        meaning="answers after which it is tried again",
        readers=(QUEUE_WORKER,),
    ),
    Annotation(
        key=RETRY + "min_wait",
        values=DURATION,
        example="5s",
        unset="the queue worker's `initial_retry_wait`",
        meaning="pause before the second try; it doubles from there on",
        readers=(QUEUE_WORKER,),
        parse=parse_duration_s,
    ),
    Annotation(
        key=RETRY + "max_wait",
        values=DURATION,
        example="1m",
        unset="the queue worker's `max_retry_wait`",
        meaning="longest pause between two tries",
        readers=(QUEUE_WORKER,),
        parse=parse_duration_s,
    ),
)

_SCALING = (
    Annotation(
        key=TIMEOUT,
        values=f"{DURATION}; `0`: as long as the gateway's `max_call_duration`",
        example="5m",
        unset=f"`{EXEC_TIMEOUT}` in the function's environment, else the gateway's `upstream_timeout`",
        meaning="how long one call may take until its answer begins",
        readers=(GATEWAY,),
    ),
    Annotation(
        key=loads.ALSO,
        values=f"types with their targets, separated by commas: {loads.MAX_LOADS} loads with that of the labels, "
        f"{loads.MAX_ALSO_CHARS} characters",
        example="cpu=500m,rps=50",
        unset="that of the labels alone",
        meaning="further loads that the function is scaled by; the one that needs most wins",
        readers=(SCALER,),
    ),
    Annotation(
        key=loads.QUERY,
        values=f"PromQL of at most {loads.MAX_QUERY_CHARS} characters, for a type of your own",
        example="sum(my_queue_length)",
        unset="the recording rule of that type's name",
        meaning="the function's whole load",
        readers=(SCALER,),
    ),
)

_EVENTS = (
    Annotation(
        key=topics.ANNOTATION,
        values=f"topics, separated by commas: at most {topics.MAX_TOPICS} of {topics.MAX_TOPIC} characters; or "
        f"`{schedules.CRON_TOPIC}`",
        example="orders.created",
        unset="no events",
        meaning=f"events that it is called for; `{schedules.CRON_TOPIC}`: it is called by its schedule",
        readers=(CONNECTOR, CRON),
    ),
    Annotation(
        key=delivery_mode.ANNOTATION,
        values=one_of(mode.value for mode in delivery_mode.DeliveryMode),
        example=delivery_mode.DeliveryMode.SYNC.value,
        unset="`async` where there is a queue, else `sync`",
        meaning="whether its events, ticks and webhooks go through the queue, or call it at once",
        readers=(CONNECTOR, CRON, GATEWAY),
    ),
    Annotation(
        key=webhook.WEBHOOK,
        values=one_of(kind.value for kind in webhook.Kind),
        example=webhook.Kind.GITHUB.value,
        unset="it takes none",
        meaning="whose deliveries it takes at `/webhook/NAME`",
        readers=(GATEWAY, PROVIDER),
    ),
    Annotation(
        key=webhook.SECRET,
        values=f"names of the function's secrets, separated by commas: at most {webhook.MAX_SECRETS}",
        example="github",
        unset="none; only kind `none` does without",
        meaning="what deliveries are signed with",
        readers=(PROVIDER,),
    ),
)

_TICK = schedules.DEFAULT
_SCHEDULES = (
    Annotation(
        key=schedules.SCHEDULE,
        values=f"five fields, `@hourly`, `@every 5m` and their like; several, at most {schedules.MAX_SCHEDULES}, "
        f"separated by `{schedules.BETWEEN}`",
        example="*/5 * * * *",
        unset="none",
        meaning=f"when it is called, beside `{topics.ANNOTATION}: {schedules.CRON_TOPIC}`",
        readers=(CRON,),
    ),
    Annotation(
        key=schedules.OVERLAP,
        values=one_of(each.value for each in schedules.Overlap),
        example=schedules.Overlap.FORBID.value,
        default=_TICK.overlap.value,
        meaning="what becomes of a tick while the call before it has not ended: both run, it is skipped, or the call "
        "is cancelled first",
        readers=(CRON,),
    ),
    Annotation(
        key=schedules.CATCH_UP,
        values=one_of(each.value for each in schedules.CatchUp),
        example=schedules.CatchUp.ALL.value,
        default=_TICK.catch_up.value,
        meaning="which ticks are sent late that nobody could send in their time",
        readers=(CRON,),
    ),
    Annotation(
        key=schedules.CATCH_UP_LIMIT,
        values=f"whole number, 1 to {schedules.MAX_CATCH_UP}",
        example="20",
        default=str(_TICK.catch_up_limit),
        meaning="how many of the newest, where all are",
        readers=(CRON,),
    ),
    Annotation(
        key=schedules.JITTER,
        values=f"duration, at most {format_duration(schedules.MAX_JITTER_S)}",
        example="30s",
        default="0s",
        meaning="spreads the calls of several functions; a function has always the same share of it",
        readers=(CRON,),
    ),
    Annotation(
        key=schedules.METHOD,
        values=one_of(schedules.METHODS),
        example="GET",
        default=_TICK.method,
        meaning="method of the call",
        readers=(CRON,),
    ),
    Annotation(
        key=schedules.PATH,
        values=f"path and query, at most {schedules.MAX_PATH_CHARS} characters",
        example="/report?day=today",
        default=_TICK.path,
        meaning="path of the call",
        readers=(CRON,),
    ),
    Annotation(
        key=schedules.BODY,
        values=f"text of at most {schedules.MAX_BODY_BYTES} bytes",
        example="hello",
        unset="empty",
        meaning="body of the call",
        readers=(CRON,),
    ),
)

_PLACE = (
    Annotation(
        key=HANDLER,
        values="absolute path of a folder on the provider's machine",
        example="/home/me/hello",
        unset="what the image's name stands for",
        meaning="the folder with the handler that it runs; `springtide deploy` writes it",
        readers=(PROVIDER,),
    ),
    Annotation(
        key=LANG,
        values="name of a template, as `springtide template list` shows them",
        example="python3-http",
        unset="by the number of the handler's arguments",
        meaning="how that handler is called",
        readers=(PROVIDER,),
    ),
    Annotation(
        key=QUEUE,
        values="name of a queue",
        example="slow",
        unset="the queue that all share",
        meaning="which queue its asynchronous calls wait in",
        readers=(GATEWAY,),
    ),
    Annotation(
        key=PROFILE,
        values="names of Profile objects, separated by commas",
        example="spot",
        unset="none",
        meaning="where its pods run, and how",
        readers=(KUBERNETES,),
    ),
    Annotation(
        key=SERVICE_ACCOUNT,
        values="name of a ServiceAccount in the function's namespace",
        example="reader",
        unset="that of the namespace",
        meaning="as whom its pods ask the API server",
        readers=(KUBERNETES,),
    ),
    Annotation(
        key="com.openfaas.http.path",
        values="path that begins with `/`",
        example="/_/health",
        unset="no effect here",
        meaning="checked and kept for whoever reads it",
        readers=(),
        parse=path,
    ),
    *(
        Annotation(
            key=key,
            values=said,
            example=example,
            default=default,
            meaning=meaning,
            readers=(PROMETHEUS,),
            parse=parse,
        )
        for key, said, example, default, meaning, parse in (
            (
                SCRAPE,
                one_of(("true", "false")),
                "true",
                "false",
                "whether its own metrics are read, in a cluster",
                None,
            ),
            (SCRAPE_PATH, "path", "/metrics", "/metrics", "where they are", None),
            (SCRAPE_PORT, "1 to 65535", "8081", "", "on which port", partial(whole, least=1, most=65_535)),
        )
    ),
)

ANNOTATIONS: tuple[Annotation, ...] = (
    *_SCALING,
    *_RETRIES,
    *_EVENTS,
    *_SCHEDULES,
    *_PLACE,
    *_probe(READY, "readiness"),
    *_probe(HEALTH, "health"),
)
