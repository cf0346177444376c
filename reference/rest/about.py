"""The suite itself: who it is, alerts, schedules, events, builds, and what can be deployed."""

from __future__ import annotations

from reference.rest.calls import FUNCTION, NAMESPACE
from reference.rest.functions import BAD, NAME
from reference.rest.operation import (
    BOTH,
    BYTES,
    LINES,
    PROVIDER,
    SYSTEM,
    TEXT,
    Answer,
    Body,
    Example,
    Operation,
    Parameter,
)
from reference.rest.schemas import ABOUT, FLAG, WHOLE, array, choice, of, record, said
from reference.rest.schemas import TEXT as WORDS
from springtide.triggers.cron.listing import Order, State
from springtide.wire.learned_sleep import MAX_NAMES

INFO = (
    Operation(
        name="info",
        method="GET",
        path="/system/info",
        summary="Tell which gateway and which provider this is",
        apis=SYSTEM,
        answers={
            200: Answer(
                "always; of a provider that is away it says `unknown`",
                record({"provider": of("ProviderInfo"), "version": record(ABOUT), "arch": WORDS}),
            )
        },
        example=Example(),
    ),
    Operation(
        name="providerInfo",
        method="GET",
        path="/system/info",
        summary="Tell which provider this is",
        apis=PROVIDER,
        answers={200: Answer("the provider", of("ProviderInfo"))},
        example=Example(),
    ),
    Operation(
        name="health",
        method="GET",
        path="/healthz",
        summary="Tell whether it answers",
        open=BOTH,
        answers={200: Answer("it does")},
        example=Example(),
    ),
    Operation(
        name="ready",
        method="GET",
        path="/readyz",
        summary="Tell whether it takes requests",
        apis=PROVIDER,
        open=PROVIDER,
        answers={200: Answer("it does")},
        example=Example(),
    ),
    Operation(
        name="metrics",
        method="GET",
        path="/metrics",
        summary="Tell its metrics",
        says="The gateway has a port of its own for them.",
        apis=PROVIDER,
        open=PROVIDER,
        answers={200: Answer("[metrics](metrics.md#of-the-provider), as Prometheus reads them", media=TEXT)},
        example=Example(),
    ),
    Operation(
        name="telemetry",
        method="GET",
        path="/system/telemetry",
        summary="Ask a provider of somebody else's what it tells of itself",
        says="Ours has nothing of the kind.",
        apis=SYSTEM,
        answers={200: Answer("the provider's own", media=BYTES), 404: Answer("it tells nothing", media=TEXT)},
        example=Example(status=404),
    ),
    Operation(
        name="load",
        method="GET",
        path="/system/load",
        summary="Tell the load of functions, as this gateway sees it",
        says="For the scaler, which watches it.",
        apis=SYSTEM,
        parameters=(Parameter("watch", "go on, a line a second", FLAG),),
        answers={200: Answer("all that is known", of("Load"))},
        example=Example(),
    ),
)

_NO_CRON = Answer("there is no cron part here", media=TEXT)
_ACTS = {
    "pause": "No tick is sent until it is resumed.",
    "resume": "Ticks are sent again.",
    "run": "One call is made now.",
}
TRIGGERS = (
    Operation(
        name="alert",
        method="POST",
        path="/system/alert",
        summary="Take a delivery of Alertmanager",
        says="As its webhook sends it: the label `function_name` says which function steps up or down.",
        apis=SYSTEM,
        body=Body(
            "alerts",
            {
                "type": "object",
                "required": ["alerts"],
                "properties": {
                    "alerts": array(
                        {
                            "type": "object",
                            "required": ["status", "labels"],
                            "properties": {
                                "status": choice(("firing", "resolved")),
                                "labels": {"type": "object", "additionalProperties": WORDS},
                            },
                        }
                    )
                },
            },
        ),
        answers={
            200: Answer("every function was looked at", media=TEXT),
            400: BAD,
            413: Answer("the delivery is too large", media=TEXT),
            501: Answer("there is no alert receiver here", media=TEXT),
            503: Answer("the copy that was asked does not lead", media=TEXT),
        },
        example=Example(
            body={
                "version": "4",
                "status": "firing",
                "receiver": "scaling",
                "alerts": [
                    {
                        "status": "firing",
                        "labels": {"alertname": "APIHighInvocationRate", "function_name": "greet.openfaas-fn"},
                        "annotations": {},
                        "startsAt": "2026-01-01T00:00:00Z",
                        "endsAt": "0001-01-01T00:00:00Z",
                        "fingerprint": "0123456789abcdef",
                    }
                ],
            }
        ),
    ),
    Operation(
        name="schedules",
        method="GET",
        path="/system/schedules",
        summary="List schedules",
        apis=SYSTEM,
        parameters=(
            FUNCTION,
            NAMESPACE,
            Parameter("next", "how many of the next instants", {"type": "integer", "minimum": 1, "default": 1}),
            Parameter("search", "a part of the function's name or the schedule"),
            Parameter("state", "only those", choice(list(State))),
            Parameter("order", "by what they are sorted", choice(list(Order))),
            Parameter("offset", "leave out so many", WHOLE),
            Parameter("limit", "most that are told", {"type": "integer", "minimum": 1}),
        ),
        answers={200: Answer("schedules, and what is wrong with some", of("Schedules")), 400: BAD, 501: _NO_CRON},
        example=Example(query={"function": "greet"}, keeps={"schedule": "schedules.0.schedule"}, eventually=True),
    ),
    Operation(
        name="changeSchedule",
        method="POST",
        path="/system/schedules/{name}/{act}",
        summary="Pause, resume or run a function's schedules",
        says=" ".join(f"`{act}`: {says}" for act, says in _ACTS.items()),
        apis=SYSTEM,
        parts={**NAME, "act": ", ".join(f"`{act}`" for act in _ACTS)},
        parameters=(NAMESPACE, Parameter("schedule", "of several, the one to run")),
        answers={
            200: Answer(
                "it is paused or resumed, or was called",
                {
                    "anyOf": [
                        record({"function": WORDS, "namespace": WORDS, "paused": FLAG}),
                        record({"status": WHOLE, "answer": WORDS, "job": WORDS}),
                    ]
                },
            ),
            202: Answer("its call is stored", record({"status": WHOLE, "job": WORDS})),
            400: BAD,
            404: Answer("there is no such schedule", media=TEXT),
            501: _NO_CRON,
        },
        example=Example(path="/system/schedules/greet/run", status=202),
    ),
    Operation(
        name="learnedSleep",
        method="POST",
        path="/system/sleep",
        summary="Tell what the pauses of functions have taught",
        says="For the idler and the pre-warmer, and `springtide explain`.",
        apis=SYSTEM,
        body=Body(
            f"which, at most {MAX_NAMES}",
            record({"functions": array(said(WORDS, "NAME.NAMESPACE"), maxItems=MAX_NAMES)}),
        ),
        answers={
            200: Answer("what is known of each", of("LearnedSleep")),
            400: BAD,
            413: Answer("too many are named", media=TEXT),
            501: Answer("nothing is learned here", media=TEXT),
            503: Answer("what was learned has not been read yet", media=TEXT),
        },
        example=Example(body={"functions": ["greet.openfaas-fn"]}, eventually=True),
    ),
    Operation(
        name="events",
        method="GET",
        path="/system/events",
        summary="Tell the last events of every connector",
        apis=SYSTEM,
        parameters=(
            FUNCTION,
            NAMESPACE,
            Parameter("limit", "most that are told", {"type": "integer", "minimum": 1, "maximum": 1000}),
        ),
        answers={
            200: Answer("the newest first", of("Events")),
            400: BAD,
            501: Answer("there is no connector here", media=TEXT),
        },
        example=Example(query={"function": "greet"}),
    ),
    Operation(
        name="webhook",
        method="POST",
        path="/webhook/{name}",
        summary="Deliver an event of somebody else's service",
        says="To a function that says by annotation whose it takes, and by which secret they are signed.",
        apis=SYSTEM,
        open=SYSTEM,
        parts=NAME,
        body=Body("the delivery", media=BYTES),
        answers={
            202: Answer("it is stored; `X-Call-Id` is its call"),
            200: Answer("the function's own, where it is called at once", media=BYTES),
            401: Answer("it is not accepted", media=TEXT),
            404: Answer("there is no such function, or it takes none", media=TEXT),
            413: Answer("larger than `max_webhook_body`", media=TEXT),
            503: Answer("it cannot be checked or stored now; with `Retry-After`", media=TEXT),
        },
        example=Example(path="/webhook/greet", body="hello", status=202),
    ),
)

BUILDS = (
    Operation(
        name="build",
        method="POST",
        path="/build",
        summary="Build a function",
        says="`X-Build-Signature` is `sha256=` and the HMAC-SHA256 of the body by the payload secret, in hex.",
        open=SYSTEM,
        parameters=(Parameter("X-Build-Signature", "of the body", required=True, place="header"),),
        body=Body("a tar archive, as faas-cli makes it", media="application/x-tar"),
        answers={
            200: Answer("what happens, a line each; the last says how it ended", of("BuildLine"), LINES),
            400: BAD,
            401: Answer("the signature is not the body's", media=TEXT),
            413: Answer("larger than `build_max_bytes`", media=TEXT),
            429: Answer("as many are built as may; with `Retry-After`", media=TEXT),
            501: Answer("nothing is built here", media=TEXT),
        },
        example=Example(body="no archive", status=401),
    ),
    Operation(
        name="publicKey",
        method="GET",
        path="/publickey",
        summary="Ask for the key that build secrets are sealed by",
        open=SYSTEM,
        answers={501: Answer("build secrets are not taken here", media=TEXT)},
        example=Example(status=501),
    ),
    Operation(
        name="store",
        method="GET",
        path="/store/functions.json",
        summary="List functions that are there by name",
        open=SYSTEM,
        answers={
            200: Answer(
                "as `faas-cli store` reads it",
                record({"version": WORDS, "functions": array({"type": "object", "required": ["name", "title"]})}),
            ),
            404: Answer("there is no such list here", media=TEXT),
        },
        example=Example(),
    ),
    Operation(
        name="templates",
        method="GET",
        path="/templates.json",
        summary="List the templates that functions can be written by",
        open=SYSTEM,
        answers={
            200: Answer("as `faas-cli template store` reads it", array({"type": "object", "required": ["template"]})),
            404: Answer("there is no such list here", media=TEXT),
        },
        example=Example(),
    ),
)
