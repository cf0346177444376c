"""The small command line, against a real API."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from springtide.provider.memory import MemoryProvider
from springtide.provider.spec import FunctionSpec
from springtide.scaler.core.vocabulary import FunctionRef
from tests.cli.conftest import serving

STACK = """
provider: {name: openfaas}
functions:
  web-a: {fprocess: cat, labels: {com.openfaas.scale.max: 3}}
  web-b: {fprocess: "${PROGRAM:-wc}", environment: {A: b}}
  job: {image: example/job}
"""


def deployed(springtide: Any, name: str = "echo", *options: str) -> None:
    outcome = springtide("deploy", name, "--fprocess", "cat", *options)
    assert outcome.status == 0, outcome.err


def described(springtide: Any, name: str = "echo") -> dict[str, Any]:
    return dict(json.loads(springtide("describe", name, "--json").out))


def test_function_is_deployed_by_flags_and_described(springtide: Any, api: Any) -> None:
    springtide("secret", "create", "key", "--from-literal", "v")

    outcome = springtide(
        *("deploy", "echo", "--image", "me/echo", "--fprocess", "cat", "-e", "A=b=c", "-l", "tier=gold"),
        *("--annotation", "topic=x", "--secret", "key", "--constraint", "zone=a", "--limit", "memory=128Mi"),
        *("--request", "cpu=100m", "--readonly"),
    )

    assert (outcome.status, outcome.err) == (0, "")
    assert outcome.out == f"Deployed echo. URL: {api.url}/function/echo.openfaas-fn\n"
    status = described(springtide)
    assert status.pop("createdAt")
    assert status == {
        "name": "echo",
        "namespace": "openfaas-fn",
        "image": "me/echo",
        "envProcess": "cat",
        "envVars": {"A": "b=c"},
        "constraints": ["zone=a"],
        "secrets": ["key"],
        "labels": {"tier": "gold", "faas_function": "echo"},
        "annotations": {"topic": "x"},
        "limits": {"memory": "128Mi"},
        "requests": {"cpu": "100m"},
        "readOnlyRootFilesystem": True,
        "replicas": 1,
        "availableReplicas": 1,
        "invocationCount": 0,
        "callLimit": "upstream_timeout (60 s) of the gateway",
        "owner": "alert",
    }


def test_deployment_that_asks_for_more_time_than_any_call_gets_is_warned_of(springtide: Any) -> None:
    outcome = springtide("deploy", "long", "--fprocess", "cat", "-e", "exec_timeout=2h")

    assert (outcome.status, outcome.out.count("Deployed long.")) == (0, 1)
    assert outcome.err.startswith("springtide: long: exec_timeout (7200 s) is longer than any call may take")
    assert "set max_call_duration=7200s there" in outcome.err


def test_describe_says_which_limit_ends_calls(springtide: Any) -> None:
    deployed(springtide, "long", "-e", "exec_timeout=10m")

    (line,) = [line for line in springtide("describe", "long").out.splitlines() if line.startswith("Call limit")]

    assert line.split(maxsplit=2)[2] == "exec_timeout (600 s) of the function"


def test_handler_folder_is_deployed_by_its_absolute_path(springtide: Any) -> None:
    folder = Path("greet")
    folder.mkdir()
    (folder / "handler.py").write_text("")

    outcome = springtide("deploy", "--name", "greet", "--handler", "./greet")

    assert outcome.status == 0
    assert described(springtide, "greet")["annotations"] == {"com.springtide.handler": str(folder.absolute())}


def test_stack_file_in_this_folder_is_deployed_and_removed(springtide: Any, api: Any) -> None:
    Path("stack.yaml").write_text(STACK)
    springtide.environ["PROGRAM"] = "sort"

    outcome = springtide("deploy", "--json", "-e", "C=d")

    assert outcome.status == 0
    assert json.loads(outcome.out) == [
        {
            "name": name,
            "namespace": "openfaas-fn",
            "result": "deployed",
            "url": f"{api.url}/function/{name}.openfaas-fn",
        }
        for name in ("web-a", "web-b", "job")
    ]
    assert described(springtide, "web-b")["envProcess"] == "sort"
    assert described(springtide, "web-b")["envVars"] == {"A": "b", "C": "d"}
    assert springtide("remove", "-f", "stack.yaml", "--filter", "web-*").out.startswith(
        "Removed web-a.\nRemoved web-b.\n"
    )
    assert [item["name"] for item in json.loads(springtide("list", "--json").out)] == ["job"]


def test_one_function_of_a_stack_file_is_deployed_by_name(springtide: Any) -> None:
    Path("stack.yaml").write_text(STACK)

    assert springtide("deploy", "job", "-f", "stack.yaml").status == 0
    assert [item["name"] for item in json.loads(springtide("list", "--json").out)] == ["job"]
    missing = springtide("deploy", "jab", "-f", "stack.yaml")
    assert (missing.status, missing.err) == (
        1,
        "springtide: no function jab in the stack file; there are web-a, web-b, job\n",
    )


def test_deploying_again_changes_the_function(springtide: Any) -> None:
    deployed(springtide)
    deployed(springtide, "echo", "-l", "tier=gold")

    assert described(springtide)["labels"]["tier"] == "gold"


def test_warnings_of_a_stack_file_go_to_standard_error(springtide: Any) -> None:
    Path("s.yml").write_text("functions:\n  a: {fprocess: cat, colour: red}\n")

    outcome = springtide("deploy", "-f", "s.yml")

    assert outcome.status == 0
    assert outcome.err == "springtide: s.yml: functions.a.colour: unknown, ignored\n"


def test_list_prints_columns_as_wide_as_their_content(springtide: Any) -> None:
    deployed(springtide, "a-rather-long-name")
    deployed(springtide, "b")
    springtide("scale", "b", "0")

    assert springtide("list").out.splitlines() == [
        "Function            Invocations  Replicas  Ready",
        "a-rather-long-name  0            1         1",
        "b                   0            0         0",
    ]


def test_runtime_is_shown_where_functions_differ_in_it(terminal: Any, tmp_path: Path) -> None:
    with serving(tmp_path, containers=MemoryProvider()) as api:
        terminal.log_in(api.url)
        terminal.environ["OPENFAAS_URL"] = api.url
        deployed(terminal, "native", "--image", "here")
        deployed(terminal, "boxed")

        assert [line.split()[-1] for line in terminal("list").out.splitlines()] == ["Runtime", "container", "process"]
        assert "Runtime            container" in terminal("describe", "boxed").out
        assert "Its replicas are containers of this machine." in terminal("explain", "boxed").out
        refused = terminal("deploy", "native", "--image", "here", "-l", "com.springtide.runtime=container")
        assert (refused.status != 0, "native is a process" in refused.err) == (True, True)


def test_list_tells_problems_beside_the_table(springtide: Any, api: Any) -> None:
    deployed(springtide)
    api.do(api.provider.deploy(FunctionSpec(ref=FunctionRef("openfaas-fn", "broken"), image="x")))

    outcome = springtide("list")

    assert [line.split() for line in outcome.out.splitlines()[1:]] == [["broken", *"010"], ["echo", *"011"]]
    assert outcome.err == "broken: its program\\x1b[31m ended\n"


def test_scale_sets_the_count(springtide: Any) -> None:
    deployed(springtide)

    assert springtide("scale", "echo", "3").out == "Scaled echo to 3.\n"
    assert described(springtide)["replicas"] == 3


def test_scale_warns_of_an_owner_that_goes_on_from_there(springtide: Any) -> None:
    deployed(springtide, "echo", "-l", "com.openfaas.scale.type=cpu", "-l", "com.openfaas.scale.target=50")

    outcome = springtide("scale", "echo", "3")

    assert (outcome.status, outcome.out) == (0, "Scaled echo to 3.\n")
    assert outcome.err.startswith("springtide: echo: the HPA owns its replicas")
    assert "To keep 3, label it com.openfaas.scale.min" in outcome.err


@pytest.mark.parametrize(
    ("replicas", "status"),
    [pytest.param("1", "Ready", id="running"), pytest.param("0", "Asleep", id="at zero")],
)
def test_describe_says_how_the_function_is(springtide: Any, replicas: str, status: str) -> None:
    deployed(springtide, "echo", "-l", "tier=gold")
    springtide("scale", "echo", replicas)

    lines = springtide("describe", "echo").out.splitlines()

    shown = dict(line.split(maxsplit=1) for line in lines if not line.startswith(" "))
    assert shown["Status"] == status
    assert shown["Replicas"] == replicas
    assert any(line.endswith("tier=gold") for line in lines)


def test_invoke_sends_what_was_asked_and_prints_the_answer_as_it_is(springtide: Any) -> None:
    deployed(springtide)

    outcome = springtide(
        *("invoke", "echo", "-m", "put", "--query", "a=b c", "-H", "X-Test: yes", "--content-type", "text/csv"),
        piped=b"a;b\n",
    )

    assert (outcome.status, outcome.err) == (0, "")
    assert outcome.out == "PUT /?a=b+c\ntext/csv\nyes\na;b\n"


def test_invoke_takes_the_body_from_data(springtide: Any) -> None:
    deployed(springtide)

    assert springtide("invoke", "echo", "-n", "openfaas-fn", "--data", "hi", piped=b"no").out.endswith("\nhi")


def test_invoke_tells_a_status_that_is_no_success_and_prints_the_body(springtide: Any) -> None:
    deployed(springtide)

    outcome = springtide("invoke", "echo", "--query", "status=500", "--data", "x")

    assert outcome.status == 1
    assert outcome.out.startswith("POST /?status=500")
    assert outcome.err == "springtide: echo answered 500 Said\n"


def test_invoke_waits_for_the_gateways_own_word_and_prints_which_limit_it_was(springtide: Any) -> None:
    deployed(springtide, "late", "--annotation", "com.springtide.timeout=100ms")

    outcome = springtide("invoke", "late", "--query", "status=none", "--data", "x")

    assert "within com.springtide.timeout (0.1 s) of the function; set its annotation" in outcome.out
    assert outcome.err == "springtide: late answered 504 Gateway Timeout\n"


def test_invoke_that_was_given_a_time_names_it(springtide: Any) -> None:
    deployed(springtide, "late")

    outcome = springtide("invoke", "late", "--query", "status=none", "--data", "x", "--timeout", "100ms")

    assert (outcome.status, "did not answer within --timeout (0.1 s)" in outcome.err) == (1, True), outcome.err


def test_logs_are_printed_oldest_first_and_bounded(springtide: Any, api: Any) -> None:
    deployed(springtide)
    for text in ("one", "two", "three"):
        api.say("echo", text)

    outcome = springtide("logs", "echo", "--tail", "2")
    as_json = springtide("logs", "echo", "--json", "--since", "5m", "--instance", "echo-1")

    assert [line.split(maxsplit=1)[1] for line in outcome.out.splitlines()] == ["echo-1 two", "echo-1 three"]
    assert [json.loads(line)["text"] for line in as_json.out.splitlines()] == ["one", "two", "three"]


def test_followed_logs_end_with_the_function(springtide: Any, api: Any) -> None:
    deployed(springtide)
    api.say("echo", "one")

    async def later() -> None:
        api.loop.call_later(0.2, api.provider.write_log, ref, "echo-1", "two")
        api.loop.call_later(0.3, lambda: api.loop.create_task(api.provider.delete(ref)))

    from springtide.scaler.core.vocabulary import FunctionRef

    ref = FunctionRef("openfaas-fn", "echo")
    api.do(later())

    lines = springtide("logs", "echo", "--follow").out.splitlines()

    assert [line.rsplit(maxsplit=1)[1] for line in lines] == ["one", "two"]


def test_secrets_are_created_updated_listed_and_removed(springtide: Any, api: Any) -> None:
    Path("value").write_bytes(b"\xff\x00binary")

    assert springtide("secret", "create", "one", piped=b" piped\n").out == "Created secret one.\n"
    assert springtide("secret", "create", "two", "--from-file", "value", "--no-trim").status == 0
    assert springtide("secret", "update", "one", "--from-literal", "new").out == "Updated secret one.\n"

    assert api.provider.secret_value("openfaas-fn", "one") == b"new"
    assert api.provider.secret_value("openfaas-fn", "two") == b"\xff\x00binary"
    assert springtide("secret", "list").out.splitlines() == [
        "Name  Namespace",
        "one   openfaas-fn",
        "two   openfaas-fn",
    ]
    assert springtide("secret", "remove", "one").out == "Removed secret one.\n"
    assert [item["name"] for item in json.loads(springtide("secret", "list", "--json").out)] == ["two"]


BAD_DURATION = "is not a duration; write seconds (90) or a Go duration (1m30s, 250ms)"
FAILURES: list[tuple[str, str, str | None]] = [
    ("describe", "describe none", "no function none at {url}"),
    ("scale", "scale none 1", "no function none at {url}"),
    ("remove", "remove none -n openfaas-fn", "no function none in namespace openfaas-fn at {url}"),
    ("secret remove", "secret remove none", "no secret none at {url}"),
    (
        "secret update",
        "secret update none --from-literal x",
        "no secret none; make it with: springtide secret create",
    ),
    (
        "secret in a missing namespace",
        "secret create x -n nosuch --from-literal x",
        "no namespace nosuch for functions at {url}; make it first, with: faas-cli namespace create NAME",
    ),
    (
        "secret remove in a missing namespace",
        "secret remove x -n nosuch",
        "no namespace nosuch for functions at {url}; make it first, with: faas-cli namespace create NAME",
    ),
    ("empty secret", "secret create x", "the value is empty; a secret holds at least one byte"),
    (
        "deploy with a missing secret",
        "deploy echo --fprocess cat --secret none",
        "{url} answered 400: secrets: none not found in openfaas-fn; make them with: springtide secret create NAME",
    ),
    ("bad pair", "deploy echo --fprocess cat -e A", "--env 'A': write key=value"),
    ("no such file", "deploy -f none.yaml", "none.yaml: No such file or directory"),
    (
        "no stack file here",
        "deploy",
        "name a function, or a stack file with -f; there is no stack.yaml in this folder",
    ),
    ("logs", "logs none", None),
    (
        "bad since",
        "logs none --since yesterday",
        "--since 'yesterday': write a duration (5m) or a time (2026-01-31T12:00:00Z)",
    ),
    ("bad header", "invoke x -H nothing", "--header 'nothing': write 'Name: value'"),
    ("bad time-out", "invoke x --timeout soon", f"--timeout: 'soon' {BAD_DURATION}"),
    (
        "no gateway",
        "list -g http://127.0.0.1:1",
        "no gateway answers at http://127.0.0.1:1; start the suite with: springtide up",
    ),
    ("not a URL", "list -g http://[", None),
]


@pytest.mark.parametrize(("words", "said"), [pytest.param(words, said, id=name) for name, words, said in FAILURES])
def test_failure_is_one_sentence_and_status_one(springtide: Any, api: Any, words: str, said: str | None) -> None:
    outcome = springtide(*words.split())

    assert outcome.status == 1
    assert outcome.out == ""
    assert outcome.err.startswith("springtide: ")
    assert outcome.err.count("\n") == 1
    if said is not None:
        assert outcome.err == f"springtide: {said.format(url=api.url)}\n"


def test_secret_that_is_there_is_not_replaced_by_create(springtide: Any) -> None:
    springtide("secret", "create", "key", "--from-literal", "a")

    outcome = springtide("secret", "create", "key", "--from-literal", "b")

    assert outcome.status == 1
    assert outcome.err == ("springtide: secret key is there already; change it with: springtide secret update\n")


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(("nonsense",), id="no such command"),
        pytest.param(("scale", "echo"), id="missing argument"),
        pytest.param(("scale", "echo", "-1"), id="negative"),
        pytest.param(("up", "--gateway-port", "70000"), id="bad port"),
        pytest.param(("list", "--nonsense"), id="no such option"),
    ],
)
def test_wrong_usage_is_status_two(terminal: Any, words: tuple[str, ...]) -> None:
    outcome = terminal(*words)

    assert outcome.status == 2
    assert "Error: " in outcome.err


def test_help_lists_every_command_and_each_has_its_own(terminal: Any) -> None:
    from springtide.cli.command_line import COMMANDS

    top = terminal("--help")

    assert top.status == 0
    for command in COMMANDS:
        assert f"\n  {command} " in top.out
        own = terminal(command, "--help")
        assert (own.status, own.err) == (0, "")
        assert own.out.startswith(f"Usage: springtide {command} ")


def test_version_is_printed(terminal: Any) -> None:
    assert terminal("--version").out.startswith("springtide ")


def test_tools_are_shown_where_they_are(terminal: Any, tmp_path: Path) -> None:
    for name in ("prometheus", "promtool", "alertmanager", "amtool"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    (tmp_path / "nats-server").write_text("#!/bin/sh\necho nats-server: v2.12.4\n")
    (tmp_path / "nats-server").chmod(0o755)
    terminal.environ["PATH"] = str(tmp_path)

    as_json = terminal("tools", "--json")
    table = terminal("tools")

    assert json.loads(as_json.out)["amtool"] == str(tmp_path / "amtool")
    assert json.loads(as_json.out)["nats-server"] == str(tmp_path / "nats-server")
    assert table.out.splitlines()[0].split() == ["prometheus", str(tmp_path / "prometheus")]


@pytest.mark.parametrize(
    ("words", "status"),
    [pytest.param((), 1, id="asked for"), pytest.param(("--fetch",), 0, id="fetching is an offer, not a condition")],
)
def test_missing_tools_are_one_sentence(terminal: Any, tmp_path: Path, words: tuple[str, ...], status: int) -> None:
    terminal.environ["PATH"] = "/nonexistent"

    outcome = terminal("tools", "--tools-dir", str(tmp_path), *words)

    assert (outcome.status, outcome.out) == (status, "")
    assert outcome.err.startswith("springtide: ")
    assert outcome.err.count("\n") == 1


def test_secret_is_replaced_where_that_is_asked_for(springtide: Any, api: Any) -> None:
    assert springtide("secret", "create", "key", "--from-literal", "a", "--replace").status == 0
    assert springtide("secret", "create", "key", "--from-literal", "b", "--replace").status == 0

    assert api.provider.secret_value("openfaas-fn", "key") == b"b"


def test_other_names_and_flags_of_faas_cli_are_known(springtide: Any) -> None:
    deployed(springtide, "b")
    deployed(springtide, "a")

    assert springtide("ls", "-q", "--sort", "invocations").out == "a\nb\n"
    assert springtide("list", "--verbose=true").out.splitlines()[0].split()[-1] == "Image"
    assert springtide("rm", "a").out == "Removed a.\n"
    assert springtide("delete", "b").out == "Removed b.\n"
