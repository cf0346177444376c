"""The dashboard "Springtide health": whether the parts that scale functions are well themselves."""

from __future__ import annotations

from grafana_foundation_sdk.builders.stat import Panel as Number

from springtide.dashboards.annotations import PEOPLE_ALERT_FIRES
from springtide.dashboards.colours import BAD, WORTH_A_LOOK
from springtide.dashboards.dashboard import Dashboard, Row
from springtide.dashboards.panels import Step, at_end, bars, lines, number, query, stacked, timeline
from springtide.dashboards.queries import grown
from springtide.scaler.core import catalogue
from springtide.scaler.core.catalogue import Metric, Part

PARTS = f'job=~"{"|".join((*Part, "prometheus"))}"'
UP: tuple[Step, ...] = ((None, "red"), (1, "green"))
AGE: tuple[Step, ...] = ((None, "green"), (30, "orange"), (300, "red"))
LAG = catalogue.LOOP_LAG.name
BUILD = catalogue.BUILD_INFO.name
PROCESS = "{{job}} {{process}}"


def _p(share: float, series: str, by: str, more: str = "") -> str:
    return f"histogram_quantile({share:g}, sum by ({by}, le) (rate({series}_bucket{more}[$__rate_interval])))"


def _counted(metric: Metric, by: str) -> str:
    selected, before = metric.name, f"{metric.name} offset $__interval"
    return f"sum by ({by}) (clamp_min({selected} - {before}, 0) or {selected})"


def _numbers() -> tuple[Number, ...]:
    firing = 'count(ALERTS{alertstate="firing",service!="gateway"}) or vector(0)'
    down = f"count(up{{{PARTS}}} == 0) or vector(0)"
    restarts = grown(catalogue.REPLICA_RESTARTS.name, "$__range", by="", labels="")
    return (
        number("Alerts firing", "Alerts for people.", "short", query(firing, "firing"), *BAD),
        number("Parts down", "Parts that do not answer their scrapes.", "short", query(down, "down"), *BAD),
        number(
            "Provider connected",
            "Gateways that hear of endpoint changes, as a share of all.",
            "percentunit",
            query(f"avg({catalogue.PROVIDER_CONNECTED.name})", "connected"),
            *UP,
        ),
        number(
            "Last sweep",
            "How long ago the idler last finished a sweep.",
            "s",
            query(f"time() - max({catalogue.LAST_SWEEP.name})", "ago"),
            *AGE,
        ),
        number(
            "Oldest measurement",
            "Age of the newest measurement the idler was given, of the signal that is worst off. The data of a sweep "
            "that held back for lack of data grows old.",
            "s",
            query(f"time() - min({catalogue.LAST_SAMPLE.name})", "age"),
            *AGE,
        ),
        number(
            "Event loop lag, worst p99",
            "By how much the most burdened process is late.",
            "s",
            query(f"max({_p(0.99, LAG, 'job, process')})", "p99"),
            (None, "green"),
            (0.1, "orange"),
            (1, "red"),
        ),
        number(
            "Callers held",
            "Of all functions.",
            "short",
            query(f"sum({catalogue.HELD.name})", "held"),
            *WORTH_A_LOOK,
        ),
        number(
            "Replicas restarted",
            "Replicas that died and were replaced, in the time shown.",
            "short",
            at_end(restarts),
            *WORTH_A_LOOK,
        ),
    )


def _parts() -> Row:
    age = f"time() - max by (job, instance) (timestamp({BUILD}))"
    remembered = f"time() - max by (job, instance) (max_over_time(timestamp({BUILD})[1h:15s]))"
    return Row(
        "Parts",
        (
            timeline(
                "Answering",
                "Whether each part answers its scrapes.",
                {"1": ("up", "green"), "0": ("down", "red")},
                query(f"min by (job) (up{{{PARTS}}})", "{{job}}"),
            ),
            timeline(
                "Leading",
                "Of several copies of a part one leads and may write. None for long: nothing scales.",
                {"1": ("leads", "green"), "0": ("stands by", "blue")},
                query(f"max by (job, instance) ({catalogue.LEADER.name})", "{{job}} {{instance}}"),
            ),
            lines(
                "Age of the newest scrape",
                "Rises while a part does not answer; what is known of it is as old as that.",
                "s",
                query(f"({age}) or ({remembered})", "{{job}} {{instance}}"),
            ),
            lines(
                "Duration of a scrape",
                "A scrape that takes longer than until the next one counts as lost.",
                "s",
                query(f"max by (job) (scrape_duration_seconds{{{PARTS}}})", "{{job}}"),
            ),
        ),
    )


def _processes() -> Row:
    memory, cpu = catalogue.PROCESS_MEMORY.name, catalogue.PROCESS_CPU.name
    by = "job, instance, process"
    return Row(
        "Processes",
        (
            lines(
                "Event loop lag, p99",
                "How late the event loop is: callers of every kind wait for that time. Of a gateway, each worker.",
                "s",
                query(_p(0.99, LAG, "job, process"), PROCESS),
            ),
            lines(
                "Processors used",
                "1 is one processor. A gateway's worker near 1 is at its end: start more.",
                "short",
                query(f"sum by ({by}) (rate({cpu}[$__rate_interval]))", PROCESS),
            ),
            stacked(lines("Memory", "Resident.", "bytes", query(f"max by ({by}) ({memory})", PROCESS))),
            lines(
                "Builds",
                "How many copies of each part run which version. Two versions for long: an update is stuck.",
                "short",
                query(f"count by (job, version, python) ({BUILD})", "{{job}} {{version}}, Python {{python}}"),
            ).decimals(0),
            bars(
                "Wrong passwords",
                "Requests that showed a user or a password that is not the suite's; the log names their addresses.",
                query(_counted(catalogue.WRONG_CREDENTIALS, "job"), "{{job}}"),
            ),
        ),
    )


def _gateway() -> Row:
    requests, seconds = catalogue.SYSTEM_REQUESTS, catalogue.SYSTEM_SECONDS.name
    held, held_limit = f"sum({catalogue.HELD.name})", f'max({catalogue.HELD_LIMIT.name}{{scope="all"}})'
    return Row(
        "Gateway",
        (
            stacked(
                lines(
                    "Calls per second by status",
                    "All functions.",
                    "reqps",
                    query(f"sum by (code) (rate({catalogue.INVOCATIONS.name}[$__rate_interval]))", "{{code}}"),
                )
            ),
            bars(
                "Refused by reason",
                "Calls the gateway answered itself, those of unknown functions among them.",
                query(_counted(catalogue.REFUSED, "reason"), "{{reason}}"),
            ),
            lines(
                "Queue of waiting calls",
                "Callers held, and how many there is room for; beyond it they are refused.",
                "short",
                query(held, "held"),
                query(held_limit, "room for"),
            ).decimals(0),
            lines(
                "Provider connected, by gateway",
                "1 while a gateway hears of endpoint changes; else it calls the replicas it last knew of.",
                "short",
                query(f"max by (instance) ({catalogue.PROVIDER_CONNECTED.name})", "{{instance}}"),
            ).decimals(0),
            lines(
                "Requests to the system API by answer",
                "What people, command lines and the console ask of the gateway; calls of functions are not among them.",
                "reqps",
                query(f"sum by (code, path) (rate({requests.name}[$__rate_interval]))", "{{code}} {{path}}"),
            ),
            lines(
                "Duration of a request to the system API, p95",
                "Until the answer begins; a deployment that installs packages takes long.",
                "s",
                query(_p(0.95, seconds, "path"), "{{path}}"),
            ),
        ),
    )


def _scalers() -> Row:
    sweep, sample = catalogue.SWEEP_SECONDS.name, catalogue.LAST_SAMPLE.name
    return Row(
        "Alert receiver and idler",
        (
            bars(
                "Webhooks by answer",
                "Alertmanager's deliveries. 4xx: not understood; 5xx: could not be done, and will be repeated.",
                query(_counted(catalogue.WEBHOOKS, "code"), "{{code}}"),
            ),
            lines(
                "Duration of a sweep",
                "What the idler takes to look at all functions.",
                "s",
                query(_p(0.95, sweep, "job"), "p95"),
                query(f"sum(rate({sweep}_sum[$__rate_interval])) / sum(rate({sweep}_count[$__rate_interval]))", "mean"),
            ),
            lines(
                "Age of the measurements",
                "How old the newest measurement is that the idler was given; with old ones it holds every function.",
                "s",
                query(f"time() - max by (signal) ({sample})", "{{signal}}"),
            ),
            bars(
                "Measurements that failed",
                "Queries that failed; the idler holds every function until they succeed.",
                query(_counted(catalogue.SOURCE_FAILURES, "signal"), "{{signal}}"),
            ),
            lines(
                "Memory of functions",
                "What those of one machine take, and what they may (sleep_memory): above it those that are idle sleep "
                "early. Empty without a bound.",
                "bytes",
                query(f"max by (of) ({catalogue.FUNCTIONS_MEMORY.name})", "{{of}}"),
            ),
        ),
    )


def _control_loop() -> Row:
    look = catalogue.LOOK_SECONDS.name
    return Row(
        "Scaler",
        (
            lines(
                "Duration of a look",
                "What the scaler takes to decide for all its functions.",
                "s",
                query(_p(0.95, look, "job"), "p95"),
                query(f"sum(rate({look}_sum[$__rate_interval])) / sum(rate({look}_count[$__rate_interval]))", "mean"),
            ),
            lines(
                "Last look",
                "How long ago the scaler last ended one; it looks each second.",
                "s",
                query(f"time() - max({catalogue.LAST_LOOK.name})", "ago"),
            ),
            lines(
                "Age of its signals",
                "The oldest that it believes.",
                "s",
                query(f"max by (signal) ({catalogue.SIGNAL_AGE.name})", "{{signal}}"),
            ),
            lines(
                "Functions it has, and loads it does not know",
                "While a load is not known nothing is taken away from its function.",
                "short",
                query(f"max({catalogue.OWNED.name})", "functions"),
                query(f"max by (signal) ({catalogue.UNKNOWN_LOADS.name})", "unknown: {{signal}}"),
            ),
        ),
    )


def _provider() -> Row:
    requests, seconds = catalogue.PROVIDER_REQUESTS, catalogue.PROVIDER_SECONDS.name
    ended = (catalogue.REPLICA_RESTARTS, "died"), (catalogue.REPLICA_OUT_OF_MEMORY, "out of memory")
    return Row(
        "Provider and Prometheus",
        (
            lines(
                "Requests to the provider by answer",
                "By the gateway, alert receiver, idler, Prometheus and people.",
                "reqps",
                query(f"sum by (code, path) (rate({requests.name}[$__rate_interval]))", "{{code}} {{path}}"),
            ),
            lines(
                "Duration of a request to the provider, p95",
                "A request that changes replicas is part of every cold start.",
                "s",
                query(_p(0.95, seconds, "path"), "{{path}}"),
            ),
            bars(
                "Replicas that ended by themselves",
                "Died: and replaced. Out of memory: for exceeding their memory limit.",
                *(query(f"{_counted(metric, 'function_name')} > 0", f"{{{{function_name}}}} {what}")
                  for metric, what in ended),
            ),
            lines(
                "Prometheus: evaluations and notifications that failed",
                "Each second. A rule that is not evaluated, an alert that is not delivered: functions do not scale.",
                "short",
                query("sum(rate(prometheus_rule_evaluation_failures_total[$__rate_interval]))", "evaluations failed"),
                query("sum(rate(prometheus_notifications_errors_total[$__rate_interval]))", "notifications failed"),
            ),
        ),
    )  # fmt: skip


HEALTH = Dashboard(
    uid="springtide-health",
    title="Springtide health",
    description="Gateway, provider, alert receiver, idler and Prometheus: whether what scales functions is well.",
    variables=(),
    rows=(Row("Now", _numbers()), _parts(), _processes(), _gateway(), _scalers(), _control_loop(), _provider()),
    annotations=(PEOPLE_ALERT_FIRES,),
)
