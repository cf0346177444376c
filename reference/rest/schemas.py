"""JSON values that several requests share. An object has no other fields than those said here, unless that is said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from reference.rest.operation import Schema
from springtide.provider import bounds
from springtide.scaler.core.keepalive.rule import Basis
from springtide.scaler.core.vocabulary import Reason, Writer
from springtide.triggers.cron.entry import Outcome as TickOutcome
from springtide.wire.jobs.job import JobState

TEXT: Schema = {"type": "string"}
WHOLE: Schema = {"type": "integer", "minimum": 0}
NUMBER: Schema = {"type": "number"}
FLAG: Schema = {"type": "boolean"}
INSTANT: Schema = {"type": "string", "format": "date-time"}
TEXTS: Schema = {"type": "object", "additionalProperties": TEXT}
ANYTHING: Schema = {}


def of(name: str) -> Schema:
    """One of ``SCHEMAS``."""
    return {"$ref": f"#/components/schemas/{name}"}


def said(schema: Schema, meaning: str) -> Schema:
    return {**schema, "description": meaning}


def array(items: Schema, **more: Any) -> Schema:
    return {"type": "array", "items": items, **more}


def maybe(schema: Schema) -> Schema:
    """Or null, where it is not known or has not come."""
    return {"anyOf": [schema, {"type": "null"}]}


def choice(words: Sequence[str]) -> Schema:
    return {"type": "string", "enum": [str(word) for word in words]}


def record(must: Mapping[str, Schema], may: Mapping[str, Schema] | None = None) -> Schema:
    """An object with the fields ``must``, and with those of ``may`` where there is something to say."""
    value = {"type": "object", "required": list(must), "properties": {**must, **(may or {})}}
    return {**value, "additionalProperties": False}


def with_more(schema: Schema, must: Mapping[str, Schema]) -> Schema:
    """An object's fields, and these."""
    properties = {**schema["properties"], **must}
    return {**schema, "required": [*schema["required"], *must], "properties": properties}


LIMITS: Schema = {
    "type": "object",
    "properties": {"memory": said(TEXT, "as 128Mi"), "cpu": said(TEXT, "as 100m")},
    "additionalProperties": TEXT,
}
_ASKED: Mapping[str, Schema] = {
    "envProcess": said(TEXT, "command that answers calls; empty: the image's"),
    "envVars": said(TEXTS, f"variables of the environment; at most {bounds.MAX_ENTRIES}"),
    "constraints": said(array(TEXT), "labels that a node must have, as `disktype=ssd`; on Kubernetes"),
    "secrets": said(array(TEXT), "names of secrets that it may read"),
    "labels": said(TEXTS, "[labels](labels.md#labels)"),
    "annotations": said(TEXTS, "[annotations](labels.md#annotations)"),
    "limits": said(LIMITS, "most that a replica may use"),
    "requests": said(LIMITS, "what a replica is sure to have; on Kubernetes"),
    "readOnlyRootFilesystem": said(FLAG, "nothing but /tmp can be written"),
}
DEPLOYMENT: Schema = {
    "type": "object",
    "required": ["service", "image"],
    "properties": {
        "service": said(TEXT, "the function's name"),
        "image": said(TEXT, "its image, or any word where functions run as processes"),
        "namespace": said(TEXT, "its namespace; the default one where it is not said"),
        **_ASKED,
    },
    "description": "Other fields are ignored, and null is the same as a field that is not there.",
}
USAGE = record(
    {"cpu": said(NUMBER, "milli-cores, of all replicas"), "totalMemoryBytes": said(NUMBER, "of all replicas")}
)
FUNCTION = record(
    {
        "name": TEXT,
        "image": TEXT,
        "namespace": TEXT,
        "labels": TEXTS,
        "annotations": TEXTS,
        "createdAt": INSTANT,
        "owner": said(TEXT, "who moves its replicas while it runs: `alert`, `scaler`, `hpa` or `none`"),
    },
    {
        **{key: schema for key, schema in _ASKED.items() if key not in ("labels", "annotations")},
        "replicas": said(WHOLE, "wanted; absent: none"),
        "availableReplicas": said(WHOLE, "that answer; absent: none"),
        "invocationCount": said(NUMBER, "calls, as far as metrics go back; absent: none, or not known"),
        "learnedWake": said(WHOLE, "replicas that its last wakes needed, where the control loop has it"),
        "longestStartSeconds": said(NUMBER, "longest of its last 20 starts from zero"),
        "usage": USAGE,
        "problem": said(TEXT, "why it has no ready replica"),
        "runtime": said(TEXT, "`process` or `container`, where both are to be had"),
    },
)
VERSION = record(
    {
        "version": said(TEXT, "its name, for a rollback"),
        "generation": WHOLE,
        "image": TEXT,
        "deployedAt": INSTANT,
        "current": FLAG,
    },
    {"code": said(TEXT, "digest of the code that it runs")},
)
DECISION = record(
    {
        "t": said(NUMBER, "when; seconds since the epoch"),
        "function": said(TEXT, "NAME.NAMESPACE"),
        "before": WHOLE,
        "after": said(WHOLE, "the same as `before`: a hold"),
        "reason": said(choice(list(Reason)), "[reasons](reasons.md)"),
        "writer": choice(list(Writer)),
        "detail": said(TEXT, "a sentence for people"),
        "inputs": said({"type": "object", "additionalProperties": NUMBER}, "the numbers it was made from"),
    }
)
SECRET = record(
    {"name": TEXT},
    {
        "namespace": TEXT,
        "value": said(TEXT, "as text"),
        "rawValue": said(TEXT, "as base64; wins over `value`"),
    },
)
NAMESPACE = record({"name": TEXT}, {"labels": TEXTS, "annotations": TEXTS})
LOG_LINE = record({"name": TEXT, "namespace": TEXT, "instance": TEXT, "timestamp": INSTANT, "text": TEXT})
ENDPOINTS = record(
    {
        "name": TEXT,
        "namespace": TEXT,
        "replicas": said(WHOLE, "wanted"),
        "version": said(TEXT, "of the scale, for `If-Match`"),
        "labels": TEXTS,
        "endpoints": array(
            record(
                {"instance": TEXT, "address": said(TEXT, "HOST:PORT")},
                {
                    "maxInflight": said(WHOLE, "most calls at once; absent: no limit"),
                    "prefix": said(TEXT, "what stands before the path"),
                    "environmentSeconds": said(NUMBER, "of its start, that it waited for its interpreter"),
                },
            )
        ),
        "owner": TEXT,
    },
    {
        "annotations": TEXTS,
        "problem": TEXT,
        "lasting": said(FLAG, "the problem does not go by itself"),
        "delay": said(TEXT, "why its start takes long"),
        "timeout": record({"seconds": NUMBER, "source": TEXT}),
        "learnedWake": WHOLE,
        "longestStartSeconds": NUMBER,
        "wakes": said(WHOLE, "how often it was woken"),
        **dict.fromkeys(("nextStart", "createdAt", "changedAt"), NUMBER),
    },
)
ENDPOINT_EVENT: Schema = {
    "oneOf": [
        record({"type": {"const": "snapshot"}, "functions": array(of("Endpoints"))}),
        record({"type": {"const": "changed"}, "function": of("Endpoints")}),
        record({"type": {"const": "removed"}, "name": TEXT, "namespace": TEXT}),
        record({"type": {"const": "heartbeat"}}),
    ]
}
_MEMORY: Mapping[str, Schema] = {"memory_bytes": said(NUMBER, "of all its replicas, where they were measured")}
PROCESSOR_USE = record(
    {
        "at": NUMBER,
        "functions": {
            "type": "object",
            "additionalProperties": {
                "oneOf": [
                    record({"cpu_seconds": NUMBER, "since": NUMBER}, _MEMORY),
                    record({"cpu_millicores": NUMBER, "at": NUMBER}, _MEMORY),
                    record({"why": said(TEXT, "why it is not known")}, _MEMORY),
                ]
            },
        },
    }
)
LOAD: Schema = {
    "type": "object",
    "required": ["at", "functions", "gateway"],
    "properties": {
        "at": said(NUMBER, "seconds since the epoch"),
        "gateway": said(TEXT, "which gateway tells it"),
        "functions": said(
            {"type": "object", "additionalProperties": maybe(array(NUMBER))},
            "by NAME.NAMESPACE: calls started, completed, in flight and waiting; null: it is gone",
        ),
        "partial": said(TEXT, "what is missing"),
    },
}
_BODY: Mapping[str, Schema] = {
    "body": TEXT,
    "encoding": said(choice(("text", "base64")), "of `body`"),
    "size": said(WHOLE, "bytes"),
    "truncated": said(FLAG, "`body` is the beginning only"),
}
HEADERS: Schema = {"type": "object", "additionalProperties": array(TEXT)}
JOB = record(
    {
        "id": TEXT,
        "state": choice(list(JobState)),
        "function": TEXT,
        "namespace": TEXT,
        "queue": TEXT,
        "tenant": said(maybe(TEXT), "whose it is, by `X-Fairness-Key`"),
        "method": TEXT,
        "path": TEXT,
        "query": TEXT,
        "accepted_at": maybe(INSTANT),
        "not_before": maybe(INSTANT),
        "attempts": WHOLE,
        "started_at": maybe(INSTANT),
        "finished_at": maybe(INSTANT),
        "next_attempt_at": maybe(INSTANT),
        "status": said(maybe(WHOLE), "of the last answer"),
        "reason": said(maybe(TEXT), "why it was given up, or cancelled"),
        "callback": maybe(TEXT),
        "callback_delivery": maybe(
            record(
                {
                    "state": choice(list(JobState)),
                    "attempts": WHOLE,
                    "tried_at": maybe(INSTANT),
                    "next_attempt_at": maybe(INSTANT),
                    "status": maybe(WHOLE),
                    "reason": maybe(TEXT),
                    "dead_letter": said(maybe(TEXT), "its id, where it was given up"),
                }
            )
        ),
    },
    {"key": said(TEXT, "by which it was asked for")},
)
JOB_ANSWER = record({"status": WHOLE, "headers": HEADERS, **_BODY})
TOLD_JOB = with_more(JOB, {"answer": said(maybe(of("JobAnswer")), "the function's, once it has ended")})
_DEAD: Mapping[str, Schema] = {
    "dead_at": maybe(INSTANT),
    "size": said(WHOLE, "bytes of its body"),
    "of_callback": said(FLAG, "what was given up is telling its caller"),
}
LETTER = with_more(JOB, _DEAD)
TOLD_LETTER = with_more(JOB, {**_DEAD, "answer": maybe(of("JobAnswer")), "headers": HEADERS, **_BODY})
QUEUES = record(
    {
        "at": maybe(INSTANT),
        "queues": array(
            record(
                {
                    "name": TEXT,
                    "pending": said(WHOLE, "they wait, run or are to be tried again"),
                    "oldest_at": maybe(INSTANT),
                    "oldest_age_s": maybe(NUMBER),
                    "dead": WHOLE,
                    "functions": array(record({"function": TEXT, "namespace": TEXT, "pending": WHOLE})),
                }
            )
        ),
        "delayed": said(WHOLE, "calls that were put off"),
        "callbacks": said(WHOLE, "answers that are yet to be told"),
    }
)
DELAYED = record(
    {
        "functions": array(record({"function": TEXT, "namespace": TEXT, "due": array(maybe(INSTANT))})),
        "until": said(maybe(INSTANT), "up to when each function's first instant is told; null: all are"),
    }
)
SCHEDULE = record(
    {
        "function": TEXT,
        "namespace": TEXT,
        "schedule": TEXT,
        "zone": TEXT,
        "paused": FLAG,
        "next": array(INSTANT),
        "waiting": said(WHOLE, "ticks that are due and not sent"),
        "overlap": TEXT,
        "catchUp": TEXT,
        "jitterSeconds": NUMBER,
        "method": TEXT,
        "path": TEXT,
        "runs": said(
            array(
                record(
                    {"due": INSTANT, "at": INSTANT, "outcome": choice(list(TickOutcome))}, {"job": TEXT, "note": TEXT}
                )
            ),
            "the newest first",
        ),
    }
)
SCHEDULES = record(
    {
        "schedules": array(of("Schedule")),
        "total": said(WHOLE, "of those that are asked for"),
        "problems": array(record({"function": TEXT, "namespace": TEXT, "problem": TEXT})),
        "counts": record(dict.fromkeys(("schedules", "paused", "failing", "problems"), WHOLE)),
        "queue": said(FLAG, "ticks go through the queue"),
    }
)
_CALLS: Mapping[str, Schema] = {"callsPerSecond": said(NUMBER, "as far as its history goes back")}
_WORTH_S: Mapping[str, Schema] = {"worthSeconds": said(NUMBER, "how long a replica may run to spare one cold start")}
_WORTH = {**_CALLS, **_WORTH_S}
LEARNED_SLEEP = record(
    {
        "at": said(NUMBER, "seconds since the epoch"),
        "functions": said(
            {
                "type": "object",
                "additionalProperties": {
                    "anyOf": [
                        record({"fixed": said(TEXT, "why nothing is learned of it")}, _WORTH),
                        record(
                            {
                                "lastEnd": said(NUMBER, "when its last call ended; seconds since the epoch"),
                                "windows": said(
                                    array(array(maybe(NUMBER))), "seconds after that, in which it is awake"
                                ),
                                "forecasts": said(FLAG, "it is woken ahead of calls that are likely"),
                                "basis": choice(list(Basis)),
                                "pauses": WHOLE,
                                **_WORTH_S,
                                "withinSeconds": maybe(NUMBER),
                                "endedShare": said(NUMBER, "of its pauses, that end within that"),
                                "expectedShare": NUMBER,
                                "intervalSeconds": maybe(array(NUMBER)),
                            },
                            _CALLS,
                        ),
                    ]
                },
            },
            "each by NAME.NAMESPACE",
        ),
    }
)
EVENTS = record(
    {
        "events": array(
            record(
                {"time": INSTANT, "source": TEXT, "connector": TEXT, "topic": TEXT, "id": TEXT, "outcome": TEXT},
                {"function": TEXT, "delivery": TEXT, "attempts": WHOLE, "status": WHOLE, "why": TEXT},
            )
        ),
        "connectors": array(record({"url": TEXT, "problem": said(maybe(TEXT), "why it tells nothing")})),
    }
)
BUILD_LINE = record(
    {"log": array(TEXT), "image": TEXT, "status": choice(("in_progress", "success", "failed"))},
    {"error": TEXT, "duration": said(WHOLE, "seconds")},
)
ABOUT = {"release": TEXT, "sha": TEXT}
PROVIDER_INFO = record(
    {"provider": TEXT, "orchestration": TEXT, "version": record(ABOUT, {"commit_message": TEXT})},
)
STORE_FUNCTION: Schema = {"type": "object", "required": ["name", "title"]}

SCHEMAS: Mapping[str, Schema] = {
    "Deployment": DEPLOYMENT,
    "Function": FUNCTION,
    "Version": VERSION,
    "Decision": DECISION,
    "Secret": SECRET,
    "Namespace": NAMESPACE,
    "LogLine": LOG_LINE,
    "Endpoints": ENDPOINTS,
    "EndpointEvent": ENDPOINT_EVENT,
    "ProcessorUse": PROCESSOR_USE,
    "Load": LOAD,
    "Job": JOB,
    "JobAnswer": JOB_ANSWER,
    "ToldJob": TOLD_JOB,
    "DeadLetter": LETTER,
    "ToldDeadLetter": TOLD_LETTER,
    "Queues": QUEUES,
    "Delayed": DELAYED,
    "Schedule": SCHEDULE,
    "Schedules": SCHEDULES,
    "LearnedSleep": LEARNED_SLEEP,
    "Events": EVENTS,
    "BuildLine": BUILD_LINE,
    "ProviderInfo": PROVIDER_INFO,
}
