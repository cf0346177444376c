"""Calls of functions, at once and later: what becomes of them, queues, dead letters. All of it is the gateway's."""

from __future__ import annotations

from reference.rest.functions import BAD, NAME
from reference.rest.operation import BOTH, BYTES, LINES, SYSTEM, TEXT, Answer, Body, Example, Operation, Parameter
from reference.rest.schemas import TEXT as WORDS
from reference.rest.schemas import WHOLE, array, choice, of, record, said
from springtide.wire.jobs.job import JobState

ID = {"id": "what the answer to the call had in `X-Call-Id`"}
WAIT = Parameter("wait", "wait so long for its end, at most 5m")
NO_BROKER = Answer("there is no queue here", media=TEXT)
UNKNOWN = Answer("there is no such call, or it was forgotten", media=TEXT)
QUEUE = Parameter("queue", "only of this queue")
FUNCTION = Parameter("function", "only of this function: NAME or NAME.NAMESPACE")
NAMESPACE = Parameter("namespace", "of the function, where its name does not say it")
LIMIT = Parameter("limit", "most that are told", {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100})
PUT_OFF = {"X-Callback-Url": "where the answer is posted to", "X-Delay": "not before so long"}
ASYNC = "/async-function/{id}"

CALLS = (
    Operation(
        name="call",
        method="POST",
        path="/function/{name}",
        summary="Call a function",
        says="With any method, and any path and query behind the name. A sleeping function is woken, and the caller "
        "held. `NAME.NAMESPACE` is for one elsewhere than in the default namespace. The answer is the function's own, "
        "but for what the gateway says itself.",
        open=BOTH,
        parts=NAME,
        body=Body("what the function is given", media=BYTES),
        answers={
            200: Answer("the function's own", media=BYTES),
            404: Answer("there is no such function", media=TEXT),
            503: Answer("no replica took the call in time, or too many wait; with `Retry-After`", media=TEXT),
            504: Answer("it took longer than its limit, which is named", media=TEXT),
        },
        example=Example(path="/function/greet", body="hello", eventually=True),
    ),
    Operation(
        name="callLater",
        method="POST",
        path="/async-function/{name}",
        summary="Have a function called, without waiting for it",
        says="The answer's `X-Call-Id` is its id. For another method: `Prefer: respond-async` at `/function/NAME`.",
        apis=SYSTEM,
        open=SYSTEM,
        parts=NAME,
        parameters=(
            *(Parameter(name, meaning, place="header") for name, meaning in PUT_OFF.items()),
            Parameter("X-Not-Before", "not before this instant, RFC 3339", place="header"),
            Parameter("X-Queue", "which queue it waits in", place="header"),
            Parameter("X-Fairness-Key", "whose call it is: callers take turns", place="header"),
            Parameter("Idempotency-Key", "a second one with it is the same call, for 24 hours", place="header"),
        ),
        body=Body("what the function is given", media=BYTES),
        answers={
            202: Answer("it is on disk"),
            400: Answer("a header cannot be understood, which is named", media=TEXT),
            404: Answer("there is no such function", media=TEXT),
            413: Answer("the body is larger than `max_async_body`", media=TEXT),
            422: Answer("another call was made under this Idempotency-Key", media=TEXT),
            429: Answer("the queue is full", media=TEXT),
            501: NO_BROKER,
            503: Answer("the queue is away; with `Retry-After`", media=TEXT),
        },
        example=Example(path="/async-function/greet", body="hello", status=202, keeps={"call": "header X-Call-Id"}),
    ),
    Operation(
        name="job",
        method="GET",
        path=ASYNC,
        summary="Tell how an asynchronous call stands",
        apis=SYSTEM,
        parts=ID,
        parameters=(WAIT,),
        answers={
            200: Answer("the call, and the answer once there is one", of("ToldJob")),
            404: UNKNOWN,
            501: NO_BROKER,
        },
        example=Example(path="/async-function/{call}", query={"wait": "30s"}),
    ),
    Operation(
        name="result",
        method="GET",
        path=f"{ASYNC}/result",
        summary="Tell what the function answered",
        says="Status, headers and body are the function's; `X-Springtide-Job-State` says that it is about a call.",
        apis=SYSTEM,
        parts=ID,
        parameters=(WAIT,),
        answers={
            200: Answer("the function's own", media=BYTES),
            202: Answer("it has not ended yet", media=TEXT),
            404: UNKNOWN,
            410: Answer("it was cancelled", media=TEXT),
            502: Answer("it was given up, and there is no answer", media=TEXT),
        },
        example=Example(path="/async-function/{call}/result"),
    ),
    Operation(
        name="cancel",
        method="DELETE",
        path=ASYNC,
        summary="Cancel an asynchronous call",
        apis=SYSTEM,
        parts=ID,
        answers={
            202: Answer("it is cancelled", of("ToldJob")),
            404: UNKNOWN,
            409: Answer("it has ended already", of("ToldJob")),
        },
        example=Example(path="/async-function/{call}", status=409),
    ),
    Operation(
        name="jobs",
        method="GET",
        path="/system/jobs",
        summary="List asynchronous calls",
        says="Those that have not ended, as they go out, then the last that ended. Or those that `id` and `key` name, "
        "at most 100.",
        apis=SYSTEM,
        parameters=(
            QUEUE,
            FUNCTION,
            NAMESPACE,
            Parameter("state", "only in these states", array(choice(list(JobState)))),
            LIMIT,
            Parameter("id", "one that is asked for; may be repeated"),
            Parameter("key", "`NAME.NAMESPACE KEY`, by its Idempotency-Key; may be repeated"),
        ),
        answers={
            200: Answer(
                "`complete` is false where there are more",
                record({"jobs": array(of("Job")), "complete": {"type": "boolean"}}),
            ),
            400: BAD,
            501: NO_BROKER,
        },
        example=Example(query={"function": "greet", "state": "done"}),
    ),
    Operation(
        name="queues",
        method="GET",
        path="/system/queues",
        summary="Tell what is in the queues",
        apis=SYSTEM,
        answers={200: Answer("each queue, by function", of("Queues")), 501: NO_BROKER},
        example=Example(),
    ),
    Operation(
        name="delayed",
        method="GET",
        path="/system/queues/delayed",
        summary="Tell when calls that were put off are due",
        apis=SYSTEM,
        answers={200: Answer("the nearest first", of("Delayed")), 501: NO_BROKER},
        example=Example(),
    ),
    Operation(
        name="exportQueue",
        method="GET",
        path="/system/queues/{queue}/export",
        summary="Read a queue as lines",
        says="With bodies, dead letters and the ids that callers have. The last line says how it ended.",
        apis=SYSTEM,
        parts={"queue": "its name"},
        answers={
            200: Answer("a call a line, to be read by the import", {"type": "object"}, LINES),
            404: Answer("there is no such queue", media=TEXT),
            501: NO_BROKER,
        },
        example=Example(path="/system/queues/faas-request/export"),
    ),
    Operation(
        name="importQueue",
        method="POST",
        path="/system/queues/import",
        summary="Take in what an export told",
        says="It can be repeated: what is there already is left alone.",
        apis=SYSTEM,
        body=Body("lines of an export", {"type": "object"}, LINES),
        answers={
            200: Answer(
                "how many came", record({"jobs": WHOLE, "dead": WHOLE, "there": said(WHOLE, "they were already")})
            ),
            400: BAD,
            501: NO_BROKER,
        },
        example=Example(body=""),
    ),
)

_LETTER = {"letter_id": "id of a dead letter"}
_NO_LETTER = Answer("there is no such letter", media=TEXT)
FAILS = {
    "service": "fails",
    "image": "fails",
    "envProcess": "false",
    "annotations": {"com.openfaas.retry.attempts": "1"},
}
DEAD_LETTERS = (
    Operation(
        name="deadLetters",
        method="GET",
        path="/system/dead-letters",
        summary="List asynchronous calls that were given up",
        apis=SYSTEM,
        parameters=(QUEUE, FUNCTION, NAMESPACE, Parameter("after", "an answer's `next`"), LIMIT),
        answers={
            200: Answer(
                "`next` null: there are no more",
                record({"letters": array(of("DeadLetter")), "next": {"anyOf": [WORDS, {"type": "null"}]}}),
            ),
            400: BAD,
            501: NO_BROKER,
        },
        example=Example(
            query={"function": "fails"}, keeps={"letter": "letters.0.id", "other": "letters.1.id"}, eventually=True
        ),
    ),
    Operation(
        name="deadLetter",
        method="GET",
        path="/system/dead-letters/{letter_id}",
        summary="Describe a call that was given up",
        apis=SYSTEM,
        parts=_LETTER,
        answers={200: Answer("with its headers and its body", of("ToldDeadLetter")), 404: _NO_LETTER, 501: NO_BROKER},
        example=Example(path="/system/dead-letters/{letter}"),
    ),
    Operation(
        name="retryDeadLetter",
        method="POST",
        path="/system/dead-letters/{letter_id}/retry",
        summary="Have it called again",
        apis=SYSTEM,
        parts=_LETTER,
        answers={202: Answer("it is in its queue again"), 404: _NO_LETTER, 501: NO_BROKER},
        example=Example(path="/system/dead-letters/{letter}/retry", status=202),
    ),
    Operation(
        name="purgeDeadLetter",
        method="DELETE",
        path="/system/dead-letters/{letter_id}",
        summary="Throw it away",
        apis=SYSTEM,
        parts=_LETTER,
        answers={204: Answer("it is gone"), 404: _NO_LETTER, 501: NO_BROKER},
        example=Example(path="/system/dead-letters/{other}", status=204),
    ),
)
