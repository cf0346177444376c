"""Deploying and removing by stack file: where the file comes from, what goes on after a failure, faas-cli's flags."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from springtide.cli import stack_source
from springtide.cli.commands.many import MAX_CELL_CHARS
from springtide.provider.ports import Namespace

ONE = "functions:\n  one: {fprocess: cat}\n"
NO_SECRET = "secrets: none not found in openfaas-fn; make them with: springtide secret create NAME"
MIXED = """
functions:
  p1: {image: any, fprocess: env}
  p2: {image: any, fprocess: env, secrets: [none]}
  p3: {image: any, fprocess: env}
  p4: {image: any, fprocess: env, labels: {com.openfaas.scale.max: many}}
  p5: {}
"""


def names(springtide: Any) -> list[str]:
    return [item["name"] for item in json.loads(springtide("list", "--json").out)]


def table(out: str) -> list[list[str]]:
    return [line.split(maxsplit=3) for line in ("\n" + out).partition("\n\n")[2].splitlines()]


def test_refusal_of_one_function_leaves_the_others_to_be_deployed(springtide: Any, api: Any) -> None:
    Path("stack.yaml").write_text(MIXED)

    outcome = springtide("deploy")

    assert outcome.status == 1
    assert names(springtide) == ["p1", "p3"]
    assert table(outcome.out) == [
        ["Function", "Namespace", "Result"],
        ["p1", "openfaas-fn", "deployed", f"{api.url}/function/p1.openfaas-fn"],
        [
            "p2",
            "openfaas-fn",
            "failed",
            f"{api.url} answered 400: {NO_SECRET}"[: MAX_CELL_CHARS - 1] + "…",
        ],
        ["p3", "openfaas-fn", "deployed", f"{api.url}/function/p3.openfaas-fn"],
        ["p4", "openfaas-fn", "failed", table(outcome.out)[4][3]],
        ["p5", "openfaas-fn", "failed", table(outcome.out)[5][3]],
    ]
    assert f"springtide: p2 is not deployed: {api.url} answered 400: {NO_SECRET}\n" in outcome.err
    assert "springtide: p4 is not deployed: stack.yaml: functions.p4: com.openfaas.scale.max='many'" in outcome.err
    assert "springtide: p5 is not deployed: stack.yaml: functions.p5.image: missing" in outcome.err
    assert "\x1b" not in outcome.out


def test_outcomes_are_told_in_json_with_their_problems(springtide: Any, api: Any) -> None:
    Path("stack.yaml").write_text(MIXED)

    outcome = springtide("deploy", "--json", "--regex", "p[12]")

    assert outcome.status == 1
    assert json.loads(outcome.out) == [
        {
            "name": "p1",
            "namespace": "openfaas-fn",
            "result": "deployed",
            "url": f"{api.url}/function/p1.openfaas-fn",
        },
        {
            "name": "p2",
            "namespace": "openfaas-fn",
            "result": "failed",
            "problem": f"{api.url} answered 400: {NO_SECRET}",
        },
    ]


def test_function_that_is_not_asked_for_may_be_wrong(springtide: Any) -> None:
    Path("stack.yaml").write_text(MIXED)

    outcome = springtide("deploy", "--filter", "p3")

    assert (outcome.status, outcome.err, names(springtide)) == (0, "", ["p3"])


def test_without_a_gateway_the_rest_is_not_tried(springtide: Any) -> None:
    Path("stack.yaml").write_text(MIXED)

    outcome = springtide("deploy", "-g", "http://127.0.0.1:1", "--filter", "p[123]")

    assert outcome.status == 1
    assert [row[2] for row in table(outcome.out)[1:]] == ["failed", "not", "not"]
    assert outcome.err == (
        "springtide: p1 is not deployed: no gateway answers at http://127.0.0.1:1; "
        "start the suite with: springtide up\n"
    )


def test_removal_goes_on_after_a_failure_and_needs_no_handlers(springtide: Any) -> None:
    Path("stack.yaml").write_text(MIXED)
    springtide("deploy")

    outcome = springtide("remove", "-f", "stack.yaml")

    assert outcome.status == 1
    assert names(springtide) == []
    assert [(row[0], row[2]) for row in table(outcome.out)[1:]] == [
        ("p1", "removed"),
        ("p2", "failed"),
        ("p3", "removed"),
        ("p4", "failed"),
        ("p5", "failed"),
    ]


def test_functions_of_a_file_are_removed_by_name_in_its_namespace(springtide: Any) -> None:
    Path("stack.yaml").write_text(MIXED)
    springtide("deploy")

    assert springtide("remove", "p3", "-f", "stack.yaml").out == "Removed p3.\n"
    missing = springtide("remove", "p9", "-f", "stack.yaml")

    assert names(springtide) == ["p1"]
    assert missing.err == "springtide: no function p9 in the stack file; there are p1, p2, p3, p4, p5\n"


def test_stack_file_is_read_from_what_is_piped_in(springtide: Any) -> None:
    assert springtide("deploy", "-f", "-", piped=ONE.encode()).status == 0
    assert names(springtide) == ["one"]

    outcome = springtide("deploy", "-f", "-", piped=b"\xff")

    assert outcome.err == "springtide: standard input: not a text file in UTF-8\n"


def test_stack_file_from_a_pipe_has_its_paths_in_this_folder(springtide: Any, tmp_path: Path) -> None:
    (tmp_path / "here" / "handler.py").write_text("")
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=("functions: {one: {handler: .}}",))
    writer.start()

    outcome = springtide("deploy", "-f", str(pipe))
    writer.join()

    assert (outcome.status, outcome.err) == (0, "")
    shown = json.loads(springtide("describe", "one", "--json").out)
    assert shown["annotations"]["com.springtide.handler"] == str(tmp_path / "here")


class Site(BaseHTTPRequestHandler):
    """A few addresses with a stack file behind, or something else."""

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        to = {"/moved": "/stack.yaml", "/loop": "/loop", "/elsewhere": "ftp://127.0.0.1/x"}.get(path)
        self.send_response(302 if to else 404 if path == "/gone" else 200)
        if to:
            self.send_header("Location", to)
        if path == "/packed":
            self.send_header("Content-Encoding", "gzip")
        self.end_headers()
        if path == "/endless":
            with_room = b"#" * (stack_source.MAX_BYTES + 1)
            self.wfile.write(with_room)
        elif path == "/binary":
            self.wfile.write(b"\xff\xfe")
        elif not to:
            self.wfile.write(ONE.encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Site) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("path", ["/stack.yaml", "/moved", "/stack.yaml?token=x"])
def test_stack_file_is_fetched_from_an_address(springtide: Any, site: str, path: str) -> None:
    outcome = springtide("deploy", "-f", f"http://me:secret@{site}{path}")

    assert (outcome.status, outcome.err) == (0, "")
    assert names(springtide) == ["one"]


@pytest.mark.parametrize(
    ("path", "said"),
    [
        pytest.param("/gone", "answered 404 Not Found; check the address", id="not there"),
        pytest.param("/loop", "redirects", id="redirects without end"),
        pytest.param("/elsewhere", "ftp", id="a redirect to something else"),
        pytest.param("/endless", "more than 4000000 bytes", id="too long"),
        pytest.param("/packed", "answered compressed", id="compressed"),
        pytest.param("/binary", "not a text file in UTF-8", id="no text"),
    ],
)
def test_address_that_has_no_stack_file_is_told_in_a_sentence(springtide: Any, site: str, path: str, said: str) -> None:
    outcome = springtide("deploy", "-f", f"http://me:secret@{site}{path}?token=secret")

    assert outcome.status == 1
    assert outcome.err.startswith(f"springtide: http://{site}{path}: ")
    assert said in outcome.err
    assert "secret" not in outcome.err
    assert outcome.err.count("\n") == 1


@pytest.mark.parametrize("command", ["deploy", "remove"])
@pytest.mark.parametrize("name", ["stack.yml", "./stack.yaml", "https://example.org/stack.yml", "-"])
def test_stack_file_without_its_flag_is_recognised(springtide: Any, command: str, name: str) -> None:
    outcome = springtide(command, "--", name)

    assert (outcome.status, outcome.out) == (1, "")
    assert outcome.err == (
        f"springtide: {name} names no function; did you mean -f {name}? Write: springtide {command} -f {name}\n"
    )


def test_flags_of_faas_cli_without_effect_are_told_and_set_aside(springtide: Any) -> None:
    outcome = springtide(
        *("deploy", "--name", "one", "--fprocess", "cat", "--network", "func_functions", "--tag=sha"),
        *("--strategy=rolling", "--read-template=false", "--readonly=false", "--update=true"),
    )

    assert outcome.status == 0
    assert [line.partition(" has no effect: ")[0] for line in outcome.err.splitlines()] == [
        "springtide: --network",
        "springtide: --tag",
        "springtide: --strategy",
    ]


def test_flags_of_faas_cli_do_what_they_say(springtide: Any) -> None:
    folder = Path("greet")
    folder.mkdir()
    (folder / "handler.py").write_text("")

    outcome = springtide(
        *("deploy", "--name", "greet", "--handler", "greet", "--lang", "python3-http", "--timeout", "1m"),
        *("--memory-limit", "64Mi", "--cpu-limit", "100m", "--cpu-request", "50m", "--tls-no-verify"),
    )

    assert (outcome.status, outcome.err) == (0, "")
    shown = json.loads(springtide("describe", "greet", "--json").out)
    assert shown["annotations"]["com.springtide.lang"] == "python3-http"
    assert shown["limits"] == {"memory": "64Mi", "cpu": "100m"}
    assert shown["requests"] == {"cpu": "50m"}


def test_update_false_makes_new_functions_and_changes_none(springtide: Any) -> None:
    assert springtide("deploy", "one", "--fprocess", "cat", "--update=false").status == 0

    outcome = springtide("deploy", "one", "--fprocess", "wc", "--update=false")

    assert outcome.status == 1
    assert outcome.err == (
        "springtide: function one in namespace openfaas-fn is there already; leave out --update=false\n"
    )


def test_replace_makes_the_function_anew(springtide: Any) -> None:
    assert springtide("deploy", "one", "--fprocess", "cat", "--replace").status == 0
    springtide("scale", "one", "3")

    assert springtide("deploy", "one", "--fprocess", "cat", "--replace").status == 0
    assert json.loads(springtide("describe", "one", "--json").out)["replicas"] == 1


def test_file_is_taken_as_it_stands_without_envsubst(springtide: Any) -> None:
    outcome = springtide("deploy", "-f", "-", "--envsubst=false", piped=b"functions: {one: {fprocess: 'cat ${A}'}}")

    assert (outcome.status, outcome.err) == (0, "")
    assert json.loads(springtide("describe", "one", "--json").out)["envProcess"] == "cat ${A}"


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        ("--update --replace", 1, "--update and --replace exclude each other; give one"),
        ("--token x", 1, "--token: not known here; log in with: springtide login"),
        ("--timeout soon", 1, "--timeout: 'soon' is not a duration"),
        ("--timeout 0s", 1, "--timeout 0s: write more than 0, and at most 24h"),
        ("--timeout 25h", 1, "--timeout 25h: write more than 0, and at most 24h"),
        ("--update=perhaps", 2, "--update=perhaps: write --update=true or --update=false"),
        ("--filter a --regex b", 1, "--filter and --regex exclude each other; give one"),
    ],
)
def test_flag_that_makes_no_sense_is_refused(springtide: Any, words: str, status: int, said: str) -> None:
    outcome = springtide("deploy", "-f", "-", *words.split(), piped=ONE.encode())

    assert outcome.status == status
    assert said in outcome.err


def test_flags_add_to_every_function_of_a_file_and_win(springtide: Any) -> None:
    springtide("secret", "create", "key", "--from-literal", "v")
    Path("stack.yaml").write_text(
        "functions:\n  a: {fprocess: env, labels: {x: file, y: file}}\n  b: {fprocess: env}\n"
    )

    outcome = springtide(
        *("deploy", "-l", "x=flag", "--annotation", "topic=t", "--secret", "key", "--constraint", "zone=a"),
        *("--limit", "cpu=1", "--memory-request", "64Mi", "--readonly", "-e", "A=b"),
    )

    assert (outcome.status, outcome.err) == (0, "")
    a, b = (json.loads(springtide("describe", name, "--json").out) for name in ("a", "b"))
    assert (a["labels"]["x"], a["labels"]["y"], b["labels"]["x"]) == ("flag", "file", "flag")
    for shown in (a, b):
        assert shown["annotations"] == {"topic": "t"}
        assert shown["secrets"] == ["key"]
        assert shown["constraints"] == ["zone=a"]
        assert (shown["limits"], shown["requests"]) == ({"cpu": "1"}, {"memory": "64Mi"})
        assert shown["readOnlyRootFilesystem"] is True
        assert shown["envVars"] == {"A": "b"}


@pytest.mark.parametrize("flag", ["--image", "--fprocess", "--handler", "--lang"])
def test_flag_of_one_function_is_refused_beside_a_file(springtide: Any, flag: str) -> None:
    Path("stack.yaml").write_text(ONE)

    outcome = springtide("deploy", flag, "x")

    assert (outcome.status, outcome.out, names(springtide)) == (1, "", [])
    assert outcome.err.startswith(f"springtide: {flag} is of one function, and here is a stack file")


def test_namespace_is_the_flags_then_the_files_then_that_of_the_environment(springtide: Any, api: Any) -> None:
    springtide.environ["OPENFAAS_NS"] = "dev"
    api.do(api.provider.put_namespace(Namespace("dev", labels={"openfaas": "1"}), replace=False))
    text = "functions:\n  a: {fprocess: cat, namespace: openfaas-fn}\n  b: {fprocess: cat}\n"

    deployed = json.loads(springtide("deploy", "-f", "-", "--json", piped=text.encode()).out)
    listed = json.loads(springtide("list", "--json").out)
    by_flag = json.loads(springtide("deploy", "a", "-f", "-", "-n", "dev", "--json", piped=text.encode()).out)
    removed = springtide("remove", "a", "b")
    api.do(api.provider.delete_namespace("dev"))

    assert [item["namespace"] for item in deployed] == ["openfaas-fn", "dev"]
    assert [item["name"] for item in listed] == ["b"]
    assert by_flag[0]["namespace"] == "dev"
    assert removed.status == 0
