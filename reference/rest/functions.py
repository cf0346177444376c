"""Functions: deploy, list, describe, go back, scale, and what is known of them."""

from __future__ import annotations

from collections.abc import Mapping

from reference.rest.operation import BYTES, LINES, PROVIDER, TEXT, Answer, Body, Example, Operation, Parameter
from reference.rest.schemas import FLAG, NUMBER, WHOLE, array, choice, of, record, said
from springtide.scaler.core.vocabulary import Reason
from springtide.wire import answer_headers
from springtide.wire.decision_log import MAX_DETAIL
from springtide.wire.leadership import LEADER_HEADER
from springtide.wire.provider_client import WRITER_HEADER
from springtide.wire.webhooks.checks import PROOF_HEADER

NAME: Mapping[str, str] = {"name": "the function's name"}
NAMESPACE = Parameter("namespace", "namespace; the default one where it is not said")
BAD = Answer("what cannot be understood, a line each, with its remedy", media=TEXT)
GONE = Answer("there is no such function", media=TEXT)
FOLLOW = Parameter("follow", "go on with what is new, for ever", FLAG)
SINCE = Parameter("since", "none before: RFC 3339, or seconds since the epoch")
LEADER = Parameter(
    LEADER_HEADER, "term of the writer that leads; an older one than the last is refused", place="header"
)

GREET = {
    "service": "greet",
    "image": "greet",
    "envProcess": "cat",
    "labels": {"com.openfaas.scale.max": "5"},
    "annotations": {"topic": "cron-function", "schedule": "0 6 * * *", "com.springtide.webhook": "none"},
}

FUNCTIONS = (
    Operation(
        name="deploy",
        method="POST",
        path="/system/functions",
        summary="Deploy a function",
        says="The answer comes when calls find it. One that is there already is replaced.",
        parameters=(NAMESPACE,),
        body=Body("the function", of("Deployment")),
        answers={202: Answer("accepted"), 400: BAD, 413: Answer("the deployment is too large", media=TEXT)},
        example=Example(body=GREET, status=202),
    ),
    Operation(
        name="update",
        method="PUT",
        path="/system/functions",
        summary="Deploy a function that is there already",
        says="It keeps its replicas, within its new limits; they are replaced one after the other.",
        parameters=(NAMESPACE,),
        body=Body("the function, whole", of("Deployment")),
        answers={202: Answer("accepted"), 400: BAD, 404: GONE},
        example=Example(body={**GREET, "labels": {"com.openfaas.scale.max": "6"}}, status=202),
    ),
    Operation(
        name="listFunctions",
        method="GET",
        path="/system/functions",
        summary="List functions",
        parameters=(NAMESPACE,),
        answers={200: Answer("those of the namespace", array(of("Function")))},
        example=Example(),
    ),
    Operation(
        name="describe",
        method="GET",
        path="/system/function/{name}",
        summary="Describe a function",
        says=f"The header `ETag` is the version of its scale; the gateway's `{answer_headers.CALL_LIMIT}` says which "
        "limit ends its calls.",
        parts=NAME,
        parameters=(NAMESPACE, Parameter("usage", "tell what its replicas use", FLAG)),
        answers={200: Answer("the function", of("Function")), 404: GONE},
        example=Example(path="/system/function/greet", query={"usage": "true"}, keeps={"version": "header ETag"}),
    ),
    Operation(
        name="scale",
        method="POST",
        path="/system/scale-function/{name}",
        summary="Set how many replicas a function has",
        says=f"A person does so without more. A writer sends its decision in `{WRITER_HEADER}`, and is refused what is "
        f"not its to write. The answer's `{answer_headers.OWNER}` says who moves the function from there, "
        f"`{answer_headers.WARNING}` that it will not stay so.",
        parts=NAME,
        parameters=(
            NAMESPACE,
            Parameter("If-Match", "version that the scale must have, else 412", place="header"),
            Parameter(WRITER_HEADER, f"the decision, as JSON; a detail has {MAX_DETAIL} characters", place="header"),
            LEADER,
        ),
        body=Body(
            "how many",
            {
                "type": "object",
                "required": ["replicas"],
                "properties": {"replicas": WHOLE, "serviceName": {"type": "string"}, "namespace": {"type": "string"}},
            },
        ),
        answers={
            202: Answer("accepted"),
            400: BAD,
            404: GONE,
            412: Answer("somebody else changed it first, or it is not the writer's", media=TEXT),
        },
        example=Example(path="/system/scale-function/greet", body={"serviceName": "greet", "replicas": 2}, status=202),
    ),
    Operation(
        name="decisions",
        method="GET",
        path="/system/scaling/decisions",
        summary="Tell what was decided about replicas, and why",
        parameters=(
            Parameter("function", "NAME or NAME.NAMESPACE; all where it is not said"),
            SINCE,
            Parameter("reason", "only these", choice(list(Reason))),
            Parameter("tail", "as many of the newest; 0 or -1: all", {"type": "integer", "minimum": -1}),
            FOLLOW,
        ),
        answers={200: Answer("a decision a line", of("Decision"), LINES), 400: BAD},
        example=Example(query={"function": "greet", "tail": "10"}),
    ),
    Operation(
        name="reportDecisions",
        method="POST",
        path="/system/scaling/decisions",
        summary="Tell decisions that led to no write",
        says="For the writers of the suite: holds, mostly.",
        body=Body("at most 1000", array(of("Decision"))),
        answers={202: Answer("kept"), 400: BAD},
        example=Example(
            body=[
                {
                    "t": 1767225600.0,
                    "function": "greet.openfaas-fn",
                    "before": 2,
                    "after": 2,
                    "reason": "at_max",
                    "writer": "alert",
                    "detail": "max 2 reached",
                    "inputs": {"max": 2},
                }
            ],
            status=202,
        ),
    ),
    Operation(
        name="versions",
        method="GET",
        path="/system/function/{name}/versions",
        summary="List what a function runs and can go back to",
        parts=NAME,
        parameters=(NAMESPACE,),
        answers={200: Answer("the newest first", array(of("Version"))), 404: GONE},
        example=Example(path="/system/function/greet/versions", keeps={"earlier": "-1.version"}),
    ),
    Operation(
        name="rollback",
        method="POST",
        path="/system/function/{name}/rollback",
        summary="Deploy an earlier version of a function again",
        parts=NAME,
        parameters=(NAMESPACE,),
        body=Body("which; without a body the last one", record({}, {"to": said({"type": "string"}, "its version")})),
        answers={
            202: Answer("the version that runs now", of("Version")),
            400: BAD,
            404: Answer("there is no such function, or no such version", media=TEXT),
        },
        example=Example(path="/system/function/greet/rollback", body={"to": "{earlier}"}, status=202),
    ),
    Operation(
        name="logs",
        method="GET",
        path="/system/logs",
        summary="Tell what a function wrote",
        parameters=(
            Parameter("name", "the function", required=True),
            NAMESPACE,
            Parameter("instance", "only this replica"),
            SINCE,
            Parameter("tail", "as many of the newest lines; 0 or -1: all", {"type": "integer", "minimum": -1}),
            FOLLOW,
        ),
        answers={
            200: Answer("a line of the log a line", of("LogLine"), LINES),
            400: BAD,
            404: GONE,
            422: Answer("`tail` or `since` cannot be understood", media=TEXT),
        },
        example=Example(query={"name": "greet", "tail": "20"}),
    ),
    Operation(
        name="endpoints",
        method="GET",
        path="/system/endpoints",
        summary="Tell which replicas take calls",
        parameters=(Parameter("watch", "go on with each change", FLAG),),
        answers={200: Answer("an event a line, first all there is", of("EndpointEvent"), LINES)},
        example=Example(),
    ),
    Operation(
        name="usage",
        method="GET",
        path="/system/usage",
        summary="Tell what functions use of the processors, and their memory",
        says="Measured once a second, however many ask.",
        answers={200: Answer("each by NAME.NAMESPACE", of("ProcessorUse"))},
        example=Example(),
    ),
    Operation(
        name="keepWake",
        method="POST",
        path="/system/wake/{name}",
        summary="Keep what was learned of a function's wakes",
        says="For the scaler and the pre-warmer.",
        apis=PROVIDER,
        parts=NAME,
        parameters=(NAMESPACE, LEADER),
        body=Body(
            "one of the two",
            record(
                {},
                {
                    "replicas": said(WHOLE, "that its next caller is to wake"),
                    "longestStartSeconds": said(NUMBER, "of its last starts from zero"),
                    "namespace": {"type": "string"},
                },
            ),
        ),
        answers={202: Answer("kept"), 400: BAD, 404: GONE},
        example=Example(path="/system/wake/greet", body={"replicas": 2}, status=202),
    ),
    Operation(
        name="checkWebhook",
        method="POST",
        path="/system/webhook-check",
        summary="Tell whether a delivery is signed by a secret of its function",
        says="For gateways; the secrets themselves are told to nobody.",
        apis=PROVIDER,
        parameters=(
            Parameter("function", "its name", required=True),
            NAMESPACE,
            Parameter(PROOF_HEADER, "what the delivery shows", required=True, place="header"),
        ),
        body=Body("the delivery, byte by byte", media=BYTES),
        answers={
            200: Answer("yes or no", record({"right": FLAG})),
            400: BAD,
            404: Answer("there is no such function, or it takes no webhooks", media=TEXT),
        },
        example=Example(query={"function": "greet"}, status=400),
    ),
)

REMOVAL = (
    Operation(
        name="remove",
        method="DELETE",
        path="/system/functions",
        summary="Remove a function",
        parameters=(NAMESPACE,),
        body=Body("which", record({"functionName": {"type": "string"}}, {"namespace": {"type": "string"}})),
        answers={202: Answer("accepted"), 400: BAD, 404: GONE},
        example=Example(body={"functionName": "greet"}, status=202),
    ),
)

_NO_SECRET = Answer("there is no such secret", media=TEXT)
SECRETS = (
    Operation(
        name="createSecret",
        method="POST",
        path="/system/secrets",
        summary="Create a secret",
        parameters=(NAMESPACE,),
        body=Body("its name and its value", of("Secret")),
        answers={202: Answer("kept"), 400: BAD, 409: Answer("there is one already", media=TEXT)},
        example=Example(body={"name": "api-key", "value": "s3cret"}, status=202),
    ),
    Operation(
        name="updateSecret",
        method="PUT",
        path="/system/secrets",
        summary="Change a secret's value",
        parameters=(NAMESPACE,),
        body=Body("its name and its value", of("Secret")),
        answers={202: Answer("kept"), 400: BAD, 404: _NO_SECRET},
        example=Example(body={"name": "api-key", "value": "0ther"}, status=202),
    ),
    Operation(
        name="listSecrets",
        method="GET",
        path="/system/secrets",
        summary="List the names of secrets",
        says="Values are told to nobody.",
        parameters=(NAMESPACE,),
        answers={200: Answer("those of the namespace", array(of("Secret")))},
        example=Example(),
    ),
    Operation(
        name="removeSecret",
        method="DELETE",
        path="/system/secrets",
        summary="Remove a secret",
        parameters=(NAMESPACE,),
        body=Body("its name", record({"name": {"type": "string"}}, {"namespace": {"type": "string"}})),
        answers={202: Answer("removed"), 400: BAD, 404: _NO_SECRET},
        example=Example(body={"name": "api-key"}, status=202),
    ),
)

_NAMED: Mapping[str, str] = {"name": "the namespace"}
_TEAM = {"name": "team-a", "labels": {"openfaas": "1"}}
_NAMESPACE = Answer("there is no such namespace", media=TEXT)
NAMESPACES = (
    Operation(
        name="createNamespace",
        method="POST",
        path="/system/namespace/{name}",
        summary="Create a namespace for functions",
        says="It has the label or the annotation `openfaas` with the value `1`.",
        parts=_NAMED,
        body=Body("its labels and annotations", of("Namespace")),
        answers={202: Answer("made"), 400: BAD, 409: Answer("there is one already", media=TEXT)},
        example=Example(path="/system/namespace/team-a", body=_TEAM, status=202),
    ),
    Operation(
        name="listNamespaces",
        method="GET",
        path="/system/namespaces",
        summary="List namespaces of functions",
        answers={200: Answer("their names", array({"type": "string"}))},
        example=Example(),
    ),
    Operation(
        name="describeNamespace",
        method="GET",
        path="/system/namespace/{name}",
        summary="Describe a namespace",
        parts=_NAMED,
        answers={200: Answer("the namespace", of("Namespace")), 404: _NAMESPACE},
        example=Example(path="/system/namespace/team-a"),
    ),
    Operation(
        name="updateNamespace",
        method="PUT",
        path="/system/namespace/{name}",
        summary="Change a namespace's labels and annotations",
        parts=_NAMED,
        body=Body("its labels and annotations", of("Namespace")),
        answers={202: Answer("changed"), 400: BAD, 404: _NAMESPACE},
        example=Example(path="/system/namespace/team-a", body={**_TEAM, "annotations": {"owner": "a"}}, status=202),
    ),
    Operation(
        name="removeNamespace",
        method="DELETE",
        path="/system/namespace/{name}",
        summary="Remove a namespace",
        parts=_NAMED,
        answers={202: Answer("removed"), 400: BAD, 404: _NAMESPACE},
        example=Example(path="/system/namespace/team-a", status=202),
    ),
)
