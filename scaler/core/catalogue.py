"""Every metric of the suite, declared once: emitters build from it, rules and dashboards are checked against it."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass


class Kind(enum.StrEnum):
    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Part(enum.StrEnum):
    """Which process emits a metric."""

    GATEWAY = "gateway"
    PROVIDER = "provider"
    ALERT_RECEIVER = "alert-receiver"
    IDLER = "idler"
    SCALER = "scaler"
    QUEUE_WORKER = "queue-worker"
    CRON = "cron"
    CONSOLE = "console"
    CONNECTOR = "connector"


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric family. ``name`` is exactly what /metrics shows (without a histogram's suffixes)."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...]
    parts: tuple[Part, ...]
    buckets: tuple[float, ...] = ()

    @property
    def series(self) -> tuple[str, ...]:
        """The sample names that PromQL sees."""
        if self.kind is Kind.HISTOGRAM:
            return (f"{self.name}_bucket", f"{self.name}_sum", f"{self.name}_count")
        return (self.name,)


DEFAULT_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""The Prometheus clients' default, which OpenFaaS dashboards expect. Seconds."""

COLD_START_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)

JOB_WAIT_BUCKETS = (0.05, 0.25, 1.0, 5.0, 15.0, 60.0, 300.0, 1800.0, 7200.0, 43_200.0)
"""A queue may be worked off over night; few, for every function has them."""

JOB_RUN_BUCKETS = (0.05, 0.25, 1.0, 5.0, 15.0, 60.0, 300.0, 1800.0, 7200.0)

COLD_START_PARTS = ("decided", "accepted", "ready", "first_byte")
"""The parts of a cold start, in the order they pass in. The first three add up to COLD_START."""

COLD_START_PART_BUCKETS = (0.001, 0.005, 0.02, 0.05, 0.1, 0.25, 1.0, 5.0, 15.0, 60.0)
"""From what a gateway takes to decide to what a large image takes to be pulled; few, for every part has them all."""

TOLD, REPEATED, GIVEN_UP = "told", "repeated", "given_up"
"""Values of CALLBACKS's ``outcome``, of each try."""

WRITTEN, CONFLICT = "written", "conflict"
"""Values of SCALE_WRITES's ``outcome``."""

WAKE_FAILED, HOLD_TIMEOUT, OVERLOADED, AT_CAPACITY = "wake_failed", "hold_timeout", "overloaded", "at_capacity"
COLD_START_REFUSALS = (WAKE_FAILED, HOLD_TIMEOUT, OVERLOADED)
"""Values of REFUSED's ``reason``: callers sent away because no replica was ready. At capacity all were busy."""

STREAM_IDLE, TUNNEL_IDLE, ANSWER_CUT = "stream_idle", "tunnel_idle", "answer_cut"
BROKEN_OFF = (STREAM_IDLE, TUNNEL_IDLE, ANSWER_CUT)
"""Values of REFUSED's ``reason``: an answer had begun, and its status is counted among INVOCATIONS. Nothing came any
more; nothing moved in a tunnel; the replica went away."""

_FN = ("function_name",)
_GW = (Part.GATEWAY,)
_PR = (Part.PROVIDER,)
_QW = (Part.QUEUE_WORKER,)
_CN = (Part.CONNECTOR,)
_CR = (Part.CRON,)
_QUEUE = ("queue_name",)
_JOBS = (*_QUEUE, *_FN)
_SOURCE = ("source",)
_DECIDERS = (Part.ALERT_RECEIVER, Part.SCALER, Part.IDLER, Part.GATEWAY, Part.CRON)

INVOCATIONS = Metric(
    "gateway_function_invocation_total", Kind.COUNTER, "Calls answered, by status code", (*_FN, "code"), _GW
)
STARTED = Metric("gateway_function_invocation_started", Kind.COUNTER, "Calls begun, held ones included", _FN, _GW)
SECONDS = Metric(
    "gateway_functions_seconds",
    Kind.HISTOGRAM,
    "Seconds from a call's arrival to the end of its answer, time held included",
    (*_FN, "code"),
    _GW,
    DEFAULT_BUCKETS,
)
IN_FLIGHT = Metric(
    "gateway_function_invocation_inflight", Kind.GAUGE, "Calls begun and not yet answered, held ones included", _FN, _GW
)
LAST_ACTIVE = Metric(
    "gateway_function_last_active_timestamp_seconds",
    Kind.GAUGE,
    "When a call last began or ended, or when this gateway first learnt of the function; seconds since the epoch",
    _FN,
    _GW,
)
HELD = Metric("gateway_function_held", Kind.GAUGE, "Callers waiting for a replica: to wake, or to have room", _FN, _GW)
HELD_LIMIT = Metric(
    "gateway_held_limit",
    Kind.GAUGE,
    "Most callers that may wait for a replica; scope: function: for one function; all: altogether",
    ("scope",),
    _GW,
)
COLD_START = Metric(
    "gateway_cold_start_seconds",
    Kind.HISTOGRAM,
    "Seconds a call was held until a replica was ready",
    _FN,
    _GW,
    COLD_START_BUCKETS,
)
COLD_START_PART = Metric(
    "gateway_cold_start_part_seconds",
    Kind.HISTOGRAM,
    "Seconds of answered cold calls, by part: decided: arrival until the wake was decided; accepted: until the "
    "provider accepted it; ready: until a replica took the call; first_byte: until its answer began",
    (*_FN, "part"),
    _GW,
    COLD_START_PART_BUCKETS,
)
REFUSED = Metric(
    "gateway_refused_total", Kind.COUNTER, "Calls the gateway answered itself, by reason", (*_FN, "reason"), _GW
)
WEBHOOK_DELIVERIES = Metric(
    "gateway_webhook_deliveries_total",
    Kind.COUNTER,
    "Deliveries to functions' webhooks, by what became of them",
    (*_FN, "outcome"),
    _GW,
)
DESIRED = Metric("gateway_service_count", Kind.GAUGE, "Replicas wanted", _FN, _GW)
READY = Metric("gateway_service_ready_count", Kind.GAUGE, "Replicas that answer", _FN, _GW)
MIN_REPLICAS = Metric("gateway_service_min", Kind.GAUGE, "Fewest replicas while awake, by label", _FN, _GW)
MAX_REPLICAS = Metric("gateway_service_max", Kind.GAUGE, "Most replicas, by label", _FN, _GW)
TARGET_LOAD = Metric(
    "gateway_service_target_load", Kind.GAUGE, "Target load per replica, by label", (*_FN, "scaling_type"), _GW
)
_SYSTEM = ("method", "path", "status", "code")
"""``status`` as OpenFaaS's gateway called it; ``code`` the same, as everything else here and its provider do."""
SYSTEM_REQUESTS = Metric(
    "http_requests_total", Kind.COUNTER, "Requests to the gateway other than calls of functions", _SYSTEM, _GW
)
SYSTEM_SECONDS = Metric(
    "http_request_duration_seconds",
    Kind.HISTOGRAM,
    "Seconds until the answer to a request other than a call of a function began",
    _SYSTEM,
    _GW,
    DEFAULT_BUCKETS,
)
PROVIDER_CONNECTED = Metric(
    "gateway_provider_connected", Kind.GAUGE, "1 while the provider pushes endpoint changes, else 0", (), _GW
)

GATEWAY_RECONNECTS = Metric(
    "gateway_nats_reconnect_total",
    Kind.COUNTER,
    "Connections to the server of asynchronous calls that were lost and made again",
    (),
    _GW,
)

DECISIONS = Metric(
    "springtide_decisions_total", Kind.COUNTER, "Decisions, holds included, by reason", ("writer", "reason"), _DECIDERS
)
WRONG_CREDENTIALS = Metric(
    "springtide_wrong_credentials_total",
    Kind.COUNTER,
    "Requests refused because they showed a wrong user or password",
    (),
    (Part.GATEWAY, Part.PROVIDER, Part.ALERT_RECEIVER, Part.CONSOLE, Part.CRON),
)
WEBHOOKS = Metric(
    "springtide_alert_webhooks_total",
    Kind.COUNTER,
    "Alertmanager deliveries, by answer",
    ("code",),
    (Part.ALERT_RECEIVER,),
)
LAST_SWEEP = Metric(
    "springtide_idler_last_sweep_timestamp_seconds",
    Kind.GAUGE,
    "When the idler last finished a sweep; seconds since the epoch",
    (),
    (Part.IDLER,),
)
SWEEP_SECONDS = Metric(
    "springtide_idler_sweep_seconds", Kind.HISTOGRAM, "Seconds one sweep took", (), (Part.IDLER,), DEFAULT_BUCKETS
)
LEADER = Metric(
    "springtide_leader",
    Kind.GAUGE,
    "1 while this copy leads and may write, else 0",
    (),
    (Part.ALERT_RECEIVER, Part.SCALER, Part.IDLER, Part.CRON),
)
LAST_SAMPLE = Metric(
    "springtide_source_last_sample_timestamp_seconds",
    Kind.GAUGE,
    "When the newest measurement that a sweep was given was made; seconds since the epoch",
    ("signal",),
    (Part.IDLER,),
)
SOURCE_FAILURES = Metric(
    "springtide_source_failures_total", Kind.COUNTER, "Queries for measurements that failed", ("signal",), (Part.IDLER,)
)

FUNCTIONS_MEMORY = Metric(
    "springtide_functions_memory_bytes",
    Kind.GAUGE,
    "Memory of the functions of this machine that are awake, bytes; of: used (of those that were measured) or bound "
    "(what they may take together). Neither is there without a bound, and not a number is what nobody knows",
    ("of",),
    (Part.IDLER,),
)

LOOK_SECONDS = Metric(
    "springtide_scaler_look_seconds",
    Kind.HISTOGRAM,
    "Seconds the scaler took for one look at all functions; what it writes then is not waited for",
    (),
    (Part.SCALER,),
    DEFAULT_BUCKETS,
)
LAST_LOOK = Metric(
    "springtide_scaler_last_look_timestamp_seconds",
    Kind.GAUGE,
    "When the scaler last ended a look at all functions; seconds since the epoch",
    (),
    (Part.SCALER,),
)
OWNED = Metric(
    "springtide_scaler_functions", Kind.GAUGE, "Functions whose replicas the scaler moves", (), (Part.SCALER,)
)
SIGNAL_AGE = Metric(
    "springtide_scaler_signal_age_seconds",
    Kind.GAUGE,
    "Age of the oldest measurement that is believed; signal: calls, cpu, queue or own",
    ("signal",),
    (Part.SCALER,),
)
UNKNOWN_LOADS = Metric(
    "springtide_scaler_unknown_loads",
    Kind.GAUGE,
    "Loads of functions of which nothing is known now, so that nothing is taken away",
    ("signal",),
    (Part.SCALER,),
)
CURRENT_LOAD = Metric(
    "springtide_function_load",
    Kind.GAUGE,
    "A function's whole load as the scaler knows it, in the unit of its target",
    (*_FN, "scaling_type"),
    (Part.SCALER,),
)
FOLLOWED_TARGET = Metric(
    "springtide_function_target_load",
    Kind.GAUGE,
    "What one replica shall carry of each load that the scaler follows, further ones of an annotation included",
    (*_FN, "scaling_type"),
    (Part.SCALER,),
)
HOLD_SECONDS = Metric(
    "springtide_function_hold_seconds",
    Kind.GAUGE,
    "For how long nothing was taken away from a function because a load, or a part of one, is not known; absent: known",
    (*_FN, "reason"),
    (Part.SCALER,),
)

JOBS_PENDING = Metric(
    "queue_worker_pending_messages",
    Kind.GAUGE,
    "Asynchronous calls of a function in a queue, those that run or are to be repeated included",
    _JOBS,
    _QW,
)
JOBS_SUBMITTED = Metric(
    "queue_worker_messages_submitted_total",
    Kind.COUNTER,
    "Asynchronous calls that came into a queue while this worker looked, whichever worker they went to",
    _QUEUE,
    _QW,
)
JOBS_ENDED = Metric(
    "queue_worker_messages_processed_total",
    Kind.COUNTER,
    "Asynchronous calls that ended; state: done, failed (given up) or cancelled",
    (*_JOBS, "state"),
    _QW,
)
JOBS_RUNNING = Metric(
    "queue_worker_function_invocation_inflight", Kind.GAUGE, "Asynchronous calls that this worker makes now", _JOBS, _QW
)
JOBS_RETRIED = Metric(
    "queue_worker_retries_total", Kind.COUNTER, "Tries of asynchronous calls that failed and are repeated", _JOBS, _QW
)
JOB_WAIT = Metric(
    "queue_worker_wait_seconds",
    Kind.HISTOGRAM,
    "Seconds from an asynchronous call's acceptance, or from when it was put off to, until its first try",
    _JOBS,
    _QW,
    JOB_WAIT_BUCKETS,
)
JOB_RUN = Metric(
    "queue_worker_run_seconds",
    Kind.HISTOGRAM,
    "Seconds a try of an asynchronous call took, until what came of it was stored",
    _JOBS,
    _QW,
    JOB_RUN_BUCKETS,
)
CALLBACKS = Metric(
    "queue_worker_callbacks_total",
    Kind.COUNTER,
    "Tries to tell a caller the answer; outcome: told, repeated or given_up",
    ("outcome",),
    _QW,
)
OLDEST_JOB = Metric(
    "queue_worker_oldest_job_timestamp_seconds",
    Kind.GAUGE,
    "When the oldest asynchronous call of a queue came into it; seconds since the epoch; absent: it is empty",
    _QUEUE,
    _QW,
)
DEAD_LETTERS = Metric(
    "queue_worker_dead_letters",
    Kind.GAUGE,
    "Asynchronous calls and callbacks of a queue that were given up",
    _QUEUE,
    _QW,
)
JOBS_DELAYED = Metric(
    "queue_worker_delayed_jobs", Kind.GAUGE, "Asynchronous calls of all queues whose time has not come", (), _QW
)
CALLBACKS_WAITING = Metric(
    "queue_worker_callbacks_waiting", Kind.GAUGE, "Answers of all queues that are yet to be told to a caller", (), _QW
)
BROKER_CONNECTED = Metric(
    "queue_worker_broker_connected",
    Kind.GAUGE,
    "1 while the server that keeps queues answers and stores, else 0",
    (),
    _QW,
)
BROKER_STORED = Metric("queue_worker_broker_stored_bytes", Kind.GAUGE, "What it keeps on disk, bytes", (), _QW)
BROKER_LOST = Metric(
    "queue_worker_broker_lost_bytes",
    Kind.GAUGE,
    "What it kept on disk and found to be unreadable, since it was started, bytes",
    (),
    _QW,
)
BROKER_ROOM = Metric(
    "queue_worker_broker_max_stored_bytes", Kind.GAUGE, "How much it may keep, bytes; absent: not known", (), _QW
)
BROKER_SYNC = Metric(
    "queue_worker_broker_sync_seconds",
    Kind.GAUGE,
    "For how long an accepted call may be on no disk, as power may fail; 0: never; absent: not known",
    (),
    _QW,
)
BROKER_RECONNECTS = Metric(
    "queue_worker_nats_reconnect_total",
    Kind.COUNTER,
    "Connections to it that were lost and made again",
    (),
    _QW,
)

EVENT_SOURCE_CONNECTED = Metric(
    "springtide_connector_source_connected", Kind.GAUGE, "1 while a source of events is connected, else 0", _SOURCE, _CN
)
EVENTS_INFLIGHT = Metric(
    "springtide_connector_inflight_events", Kind.GAUGE, "Events that are on their way to functions", _SOURCE, _CN
)
EVENTS_WAITING = Metric(
    "springtide_connector_waiting_events",
    Kind.GAUGE,
    "Events that wait in their system, of sources whose system tells how many",
    _SOURCE,
    _CN,
)
EVENTS = Metric(
    "springtide_connector_events_total",
    Kind.COUNTER,
    "Events that are done with; outcome: delivered, unwanted (no function wants its topic) or empty",
    (*_SOURCE, "outcome"),
    _CN,
)
EVENT_CALLS = Metric(
    "springtide_connector_calls_total",
    Kind.COUNTER,
    "Events by function; outcome: stored in the queue, answered, failed, refused (it will never be taken), or gone "
    "(the function is)",
    (*_FN, "outcome"),
    _CN,
)
EVENT_RETRIES = Metric(
    "springtide_connector_retries_total", Kind.COUNTER, "Tries to deliver an event that are repeated", _SOURCE, _CN
)
EVENTS_REDELIVERED = Metric(
    "springtide_connector_redelivered_events_total",
    Kind.COUNTER,
    "Events of which their source says that it gave them before",
    _SOURCE,
    _CN,
)
EVENTS_UNCONFIRMED = Metric(
    "springtide_connector_unconfirmed_events_total",
    Kind.COUNTER,
    "Events that are done with, of which their source could not be told: they come again",
    _SOURCE,
    _CN,
)
EVENT_SECONDS = Metric(
    "springtide_connector_event_seconds",
    Kind.HISTOGRAM,
    "Seconds from an event's being read until it was stored in the queue, or answered by all its functions",
    _SOURCE,
    _CN,
    JOB_RUN_BUCKETS,
)
EXPECTED_CALLS = Metric(
    "springtide_expected_calls_total",
    Kind.COUNTER,
    "Calls of functions that may sleep whose time was known before; source: schedule or job; met: awake, ready (woken "
    "for it), late (woken for it, and not ready) or cold",
    ("source", "met"),
    (Part.CRON,),
)
PREWARM_EARLY = Metric(
    "springtide_prewarm_early_seconds",
    Kind.HISTOGRAM,
    "Seconds for which a function that was woken for a call had been ready when the call was due",
    (),
    (Part.CRON,),
    COLD_START_BUCKETS,
)

SLEEP_FAILING = ("gateways", "store")
"""Values of SLEEP_FAILURES's ``what``."""

SLEEP_HEARD = Metric(
    "springtide_sleep_heard_timestamp_seconds",
    Kind.GAUGE,
    "Up to when every gateway has told when functions were busy, by the copy that learns; seconds since the epoch",
    (),
    _CR,
)
SLEEP_FUNCTIONS = Metric(
    "springtide_sleep_functions", Kind.GAUGE, "Functions that may sleep of whose pauses a history is kept", (), _CR
)
SLEEP_LOOK_SECONDS = Metric(
    "springtide_sleep_look_seconds",
    Kind.HISTOGRAM,
    "Seconds to ask the gateways and to learn what they tell",
    (),
    _CR,
    DEFAULT_BUCKETS,
)
SLEEP_FAILURES = Metric(
    "springtide_sleep_failures_total",
    Kind.COUNTER,
    "Looks at pauses that failed; what: gateways (one of them did not tell) or store (what was learned is not kept)",
    ("what",),
    _CR,
)
FORECASTS = Metric(
    "springtide_forecasts_total",
    Kind.COUNTER,
    "Functions woken for a call that their pauses made likely; outcome: hit, early (it came, for more than a cold "
    "start is worth) or wasted (none came)",
    ("outcome",),
    _CR,
)
FORECAST_REPLICA_SECONDS = Metric(
    "springtide_forecast_replica_seconds_total",
    Kind.COUNTER,
    "Replica-seconds for which functions were up for a forecast, until a call came or it was over",
    (),
    _CR,
)
FORECASTS_UP = Metric("springtide_forecasts_up", Kind.GAUGE, "Functions that are up for a forecast now", (), _CR)

SCHEDULES = Metric("springtide_schedules", Kind.GAUGE, "Schedules of all functions that can be read", (), _CR)
TICKS = Metric(
    "springtide_schedule_ticks_total",
    Kind.COUNTER,
    "Ticks by what became of them: queued; called or failed, without a queue; refused by the gateway; skipped, for the "
    "call before had not ended; missed, too late to be of use",
    ("outcome",),
    _CR,
)
TICK_LATENESS = Metric(
    "springtide_schedule_lateness_seconds",
    Kind.HISTOGRAM,
    "Seconds from when a tick was due, its jitter included, until its call was stored, or was begun",
    (),
    _CR,
    (0.05, 0.25, 1.0, 2.5, 5.0, 15.0, 30.0, 60.0, 300.0, 3600.0),
)
TICK_RETRIES = Metric(
    "springtide_schedule_retries_total", Kind.COUNTER, "Tries to send a tick that are repeated", (), _CR
)
TICKS_OVERDUE = Metric(
    "springtide_schedule_overdue_seconds",
    Kind.GAUGE,
    "By how many seconds the oldest tick is late that is not sent; 0: none is",
    (),
    _CR,
)

PROVIDER_REQUESTS = Metric(
    "provider_http_requests_total", Kind.COUNTER, "Requests to the provider's API", ("code", "method", "path"), _PR
)
PROVIDER_SECONDS = Metric(
    "provider_http_request_duration_seconds",
    Kind.HISTOGRAM,
    "Seconds the provider's API took to answer",
    ("code", "method", "path"),
    _PR,
    DEFAULT_BUCKETS,
)
REPLICA_START = Metric(
    "provider_replica_start_seconds",
    Kind.HISTOGRAM,
    "Seconds from the request for a replica until it answered",
    _FN,
    _PR,
    COLD_START_BUCKETS,
)
ENVIRONMENT_START = Metric(
    "provider_environment_start_seconds",
    Kind.HISTOGRAM,
    "Seconds until the interpreter of a Python environment could fork replicas, for which the first cold start waits",
    (),
    _PR,
    COLD_START_BUCKETS,
)
REPLICA_RESTARTS = Metric(
    "provider_replica_restarts_total", Kind.COUNTER, "Replicas started again because they died", _FN, _PR
)
REPLICA_OUT_OF_MEMORY = Metric(
    "provider_replica_out_of_memory_total", Kind.COUNTER, "Replicas ended for exceeding their memory limit", _FN, _PR
)
SCALE_WRITES = Metric(
    "provider_scale_writes_total",
    Kind.COUNTER,
    "Requests to change a function's replicas, by who made them; outcome: written or conflict, when another came first",
    (*_FN, "writer", "outcome"),
    _PR,
)
REPLICA_CPU = Metric(
    "pod_cpu_usage_seconds_total", Kind.COUNTER, "Processor seconds used", (*_FN, "namespace", "pod"), _PR
)
REPLICA_MEMORY = Metric(
    "pod_memory_working_set_bytes", Kind.GAUGE, "Memory resident, bytes", (*_FN, "namespace", "pod"), _PR
)

LOOP_LAG = Metric(
    "springtide_event_loop_lag_seconds",
    Kind.HISTOGRAM,
    "Seconds by which an event loop was late, looked at twice a second; process: main, master or worker-N",
    ("process",),
    tuple(Part),
    (0.001, 0.005, 0.02, 0.05, 0.1, 0.25, 1.0, 5.0),
)
BUILD_INFO = Metric(
    "springtide_build_info", Kind.GAUGE, "Always 1; what this part is made of", ("version", "python"), tuple(Part)
)
PROCESS_MEMORY = Metric(
    "process_resident_memory_bytes", Kind.GAUGE, "Memory resident, bytes; process as above", ("process",), tuple(Part)
)
PROCESS_CPU = Metric(
    "process_cpu_seconds_total", Kind.COUNTER, "Processor seconds used; process as above", ("process",), tuple(Part)
)
VITALS = (LOOP_LAG, BUILD_INFO, PROCESS_MEMORY, PROCESS_CPU)
"""What every process tells of itself, whatever part it is."""

ALL: tuple[Metric, ...] = tuple(value for value in list(globals().values()) if isinstance(value, Metric))

LABELS: Mapping[str, str] = {
    "function_name": "the function with its namespace, as `hello.openfaas-fn`; `_unknown`: what was called is none",
    "namespace": "namespace of the function",
    "pod": "the replica: a pod's name, or that of a process",
    "code": "HTTP status of the answer",
    "status": "the same, as OpenFaaS's gateway called it",
    "method": "HTTP method; `other` for one that is not in use",
    "path": "path of the route without its parameters, never what was really asked for",
    "reason": "why: of a decision one of its [reasons](reasons.md), of a refused call in a word",
    "writer": "who decided or wrote: "
    "`alert`, `scaler`, `hpa`, `idler`, `wake` (a waiting caller), `prewarm` or `person`",
    "outcome": "what became of it; the metric's text names the values",
    "scaling_type": "what the load is measured in: a known type or a name of the user's own",
    "scope": "`function`: of one function; `all`: of all together",
    "part": f"part of a cold start: {', '.join(f'`{part}`' for part in COLD_START_PARTS)}",
    "signal": "which measurement",
    "of": "`used` or `bound`",
    "queue_name": "queue of asynchronous calls",
    "state": "how an asynchronous call ended: `done`, `failed` or `cancelled`",
    "source": "name of a source of events in its connector's file; of an expected call `schedule` or `job`",
    "met": "how the call found its function: `awake`, `ready`, `late` or `cold`",
    "process": "`main`, `master` or `worker-N`",
    "what": "what failed: `gateways` or `store`",
    "version": "release of Springtide",
    "python": "version of Python",
}
"""What each label says. Prometheus adds ``job`` and ``instance``: which part, and which copy of it."""
