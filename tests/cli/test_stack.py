"""stack.yaml: what it says, and what is wrong with it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from springtide.cli import stack, yaml_text
from springtide.cli.stack import HANDLER, LANG, PROCESS_IMAGE, PYTHON_IMAGE, Overrides, Stack
from springtide.cli.up import SAMPLES
from springtide.provider.spec import NAME_RULE, FunctionSpec
from springtide.runtime.errors import BadInput
from springtide.scaler.core.vocabulary import FunctionRef


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "greet").mkdir()
    (tmp_path / "greet" / "handler.py").write_text("def handle(event, context): ...")
    (tmp_path / "more.yml").write_text("environment:\n  A: from file\n  B: from file\n")
    return tmp_path


def read(folder: Path, text: str, variables: dict[str, str] | None = None, **overrides: Any) -> Stack:
    (folder / "stack.yaml").write_text(text)
    given: dict[str, Any] = {"environment": {}, **overrides}
    return stack.read(folder / "stack.yaml", variables or {}, Overrides(**given))


def only(folder: Path, body: str, **overrides: Any) -> FunctionSpec:
    """The function of a file that holds one, ``body`` being its keys."""
    indented = "".join(f"    {line}\n" for line in body.strip().splitlines())
    (spec,) = read(folder, f"functions:\n  echo:\n{indented}", **overrides).functions
    return spec


def problems(folder: Path, text: str) -> list[str]:
    with pytest.raises(BadInput) as caught:
        read(folder, text)
    prefix = f"{folder / 'stack.yaml'}: "
    return [line.removeprefix(prefix) for line in str(caught.value).splitlines()]


FULL = """
version: 1.0
provider:
  name: openfaas
  gateway: http://gateway.example:8080
configuration:
  templates: [{name: a, source: b}]
  copy: [./shared]
functions:
  full:
    lang: node18
    handler: ./full
    image: example/full:1.0
    fprocess: node index.js
    namespace: staging
    environment:
      write_debug: true
      version: 1.10
      octal: 0755
      empty:
    environment_file: [more.yml]
    secrets: [key]
    skip_build: true
    constraints: ["node.platform.os == linux"]
    labels:
      com.openfaas.scale.zero: true
      com.openfaas.scale.max: 5
    annotations: {topic: payments}
    limits: {memory: 128Mi, cpu: 100m}
    requests: {memory: 64Mi}
    readonly_root_filesystem: true
    build_options: [dev]
    build_args: {A: b}
    build_secrets: {A: b}
    platforms: linux/amd64
"""


def test_every_key_is_read_and_none_is_unknown(folder: Path) -> None:
    read_stack = read(folder, FULL)

    assert read_stack.gateway == "http://gateway.example:8080"
    assert read_stack.warnings == ()
    assert read_stack.functions == (
        FunctionSpec(
            ref=FunctionRef("staging", "full"),
            image="example/full:1.0",
            env_process="node index.js",
            env_vars={
                "A": "from file",
                "B": "from file",
                "write_debug": "true",
                "version": "1.10",
                "octal": "0755",
                "empty": "",
            },
            constraints=("node.platform.os == linux",),
            secrets=("key",),
            labels={"com.openfaas.scale.zero": "true", "com.openfaas.scale.max": "5"},
            annotations={"topic": "payments"},
            limits={"memory": "128Mi", "cpu": "100m"},
            requests={"memory": "64Mi"},
            read_only_root_filesystem=True,
        ),
    )


@pytest.mark.parametrize(
    ("body", "image", "process", "from_folder"),
    [
        pytest.param("lang: python3-http\nhandler: ./greet", PYTHON_IMAGE, "", True, id="python template"),
        pytest.param("lang: python3\nhandler: ./greet", PYTHON_IMAGE, "", True, id="classic python template"),
        pytest.param("lang: python3-flask-debian\nhandler: greet", PYTHON_IMAGE, "", True, id="flask"),
        pytest.param("lang: python3.11\nhandler: greet", PYTHON_IMAGE, "", True, id="with a version"),
        pytest.param("handler: greet", PYTHON_IMAGE, "", True, id="handler without lang"),
        pytest.param("lang: python3-http\nhandler: ./greet\nimage: me/greet", "me/greet", "", True, id="with image"),
        pytest.param(
            "lang: python3-http\nhandler: greet\nfprocess: cat", PROCESS_IMAGE, "cat", False, id="fprocess wins"
        ),
        pytest.param("lang: python27\nhandler: greet\nimage: me/old", "me/old", "", False, id="python 2 is no handler"),
        pytest.param("lang: dockerfile\nhandler: ./greet\nimage: me/x", "me/x", "", False, id="another language"),
        pytest.param("fprocess: wc -l", PROCESS_IMAGE, "wc -l", False, id="a program"),
        pytest.param("image: functions/alpine", "functions/alpine", "", False, id="an image"),
    ],
)
def test_function_runs_from_handler_program_or_image(
    folder: Path, body: str, image: str, process: str, from_folder: bool
) -> None:
    spec = only(folder, body)

    assert (spec.image, spec.env_process) == (image, process)
    lang = re.search(r"lang: (\S+)", body)
    told = {HANDLER: str(folder / "greet")} | ({LANG: lang[1]} if lang else {})
    assert spec.annotations == (told if from_folder else {})


def test_environment_merges_file_then_stack_then_command_line(folder: Path) -> None:
    body = "fprocess: env\nenvironment_file:\n  - more.yml\nenvironment:\n  B: from stack\n  C: from stack"

    spec = only(folder, body, environment={"C": "from flag"})

    assert spec.env_vars == {"A": "from file", "B": "from stack", "C": "from flag"}


@pytest.mark.parametrize(
    ("body", "wished", "namespace"),
    [
        pytest.param("fprocess: cat", None, "openfaas-fn", id="default"),
        pytest.param("fprocess: cat", "dev", "dev", id="command line"),
        pytest.param("fprocess: cat\nnamespace: staging", "dev", "staging", id="the file wins"),
    ],
)
def test_namespace_is_the_files_then_the_command_lines(
    folder: Path, body: str, wished: str | None, namespace: str
) -> None:
    assert only(folder, body, namespace=wished).ref.namespace == namespace


@pytest.mark.parametrize(
    ("text", "variables", "filled"),
    [
        pytest.param("a: ${A}", {"A": "1"}, "a: 1", id="set"),
        pytest.param("a: ${A:-2}", {}, "a: 2", id="default"),
        pytest.param("a: ${A:-2}", {"A": ""}, "a: 2", id="empty counts as unset"),
        pytest.param("a: ${A:-http://x:80/y}", {}, "a: http://x:80/y", id="default with colons"),
        pytest.param("a: ${A:-}", {}, "a: ", id="empty default"),
        pytest.param("a: ${A}${B:-b}", {"A": "a"}, "a: ab", id="two in a row"),
        pytest.param("a: $A and ${1} and $$", {"A": "1"}, "a: $A and ${1} and $$", id="only the braced form"),
        pytest.param("# ${A}", {"A": "1"}, "# ${A}", id="comments are left alone"),
        pytest.param("a: ${A}", {"A": "${B}", "B": "no"}, "a: ${B}", id="values are not filled in again"),
    ],
)
def test_variables_are_filled_in(text: str, variables: dict[str, str], filled: str) -> None:
    assert yaml_text.substitute(text, variables) == (filled, [])


def test_variable_without_value_and_default_is_warned_about_once(folder: Path) -> None:
    read_stack = read(folder, "functions:\n  echo:\n    fprocess: cat ${NOWHERE}\n    image: a${NOWHERE}")

    assert read_stack.functions[0].env_process == "cat"
    assert read_stack.warnings == (
        f"{folder / 'stack.yaml'}: ${{NOWHERE}} is not set and has no default; it was left empty",
    )


def test_unknown_keys_are_warned_about_with_the_nearest_known_one(folder: Path) -> None:
    text = "version: 1\nfunction: {}\nfunctions:\n  echo:\n    fprocess: cat\n    secret: [a]\n    limits: {ram: 1Mi}"

    warnings = [line.partition("stack.yaml: ")[2] for line in read(folder, text).warnings]

    assert warnings == [
        "function: unknown, ignored; is it functions?",
        "functions.echo.secret: unknown, ignored; is it secrets?",
        "functions.echo.limits.ram: unknown, ignored",
    ]


def test_all_problems_are_told_at_once_with_key_and_remedy(folder: Path) -> None:
    text = """
provider: openfaas
functions:
  Bad_Name:
    fprocess: cat
  labelled:
    fprocess: cat
    labels:
      com.openfaas.scale.max: many
  listed:
    fprocess: cat
    labels: [a, b]
    secrets: key
    environment_file: [missing.yml]
    readonly_root_filesystem: maybe
  nothing:
    lang: node18
    handler: ./nothing
  nested:
    fprocess: cat
    environment: {A: {B: c}}
  misspelt:
    lang: python3-http
    handler: ./gret
"""
    told = problems(folder, text)

    assert told == [
        "provider: must be a mapping of keys to values, not a single value",
        f"functions.Bad_Name: service 'Bad_Name' is not a valid name; use {NAME_RULE}",
        "functions.labelled: com.openfaas.scale.max='many': write a whole number, zero or more",
        f"functions.listed.environment_file: {folder / 'missing.yml'}: No such file or directory",
        "functions.listed.secrets: must be a list of values, one '- value' a line, not a single value",
        "functions.listed.labels: must be a mapping of keys to values, not a list",
        "functions.listed.readonly_root_filesystem: 'maybe' is neither true nor false",
        "functions.nothing.image: missing; give an image, an fprocess, or a python3 lang with a handler folder",
        "functions.nested.environment.A: must be a single value, not a mapping",
        f"functions.misspelt.handler: {folder / 'gret'} holds no handler.py; correct the path, or give an image",
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param("", "functions: missing; list at least one function under it", id="empty file"),
        pytest.param("functions:", "functions: missing; list at least one function under it", id="no functions"),
        pytest.param("[1]", "the file: must be a mapping of keys to values, not a list", id="a list"),
    ],
)
def test_file_without_functions_is_a_problem(folder: Path, text: str, problem: str) -> None:
    assert problem in problems(folder, text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("functions:\n  a: [", "not YAML", id="not YAML"),
        pytest.param(
            "functions:\n  a:\n    fprocess: x\n  a:\n    fprocess: y", "'a' is written twice (line 4", id="key twice"
        ),
    ],
)
def test_unreadable_file_is_one_sentence_with_the_place(folder: Path, text: str, said: str) -> None:
    (told,) = problems(folder, text)

    assert said in told


def test_missing_file_is_one_sentence(folder: Path) -> None:
    with pytest.raises(BadInput, match=r"none\.yaml: No such file or directory"):
        stack.read(folder / "none.yaml", {})


def test_anchors_and_merge_keys_work(folder: Path) -> None:
    text = "functions:\n  a: &base\n    fprocess: cat\n    labels: {x: 1}\n  b:\n    <<: *base\n    fprocess: wc\n"

    one, other = read(folder, text).functions

    assert (one.env_process, other.env_process) == ("cat", "wc")
    assert one.labels == other.labels == {"x": "1"}


@pytest.mark.parametrize(
    ("content", "told"),
    [
        pytest.param("PASSWORD=hunter2\n", "line 1: not a mapping", id="the form of other tools"),
        pytest.param("# a comment\nhunter2", "line 2: not a mapping", id="a bare word"),
        pytest.param("- hunter2", "line 1: not a mapping", id="a list"),
        pytest.param("environment: hunter2", "line 1: not a mapping", id="nothing below the key"),
        pytest.param("environment:\n  - PASSWORD=hunter2", "line 2: not a mapping", id="a list below the key"),
        pytest.param("environment:\n  A: b\n  PASSWORD: [hunter2]", "line 3: not a key with a", id="a list as value"),
        pytest.param("environment:\n  A: b\n  PASSWORD: {hunter2: x}", "line 3: not a key", id="a mapping as value"),
        pytest.param("environment:\n  PASSWORD: *hunter2", "line 2: not YAML", id="a star"),
        pytest.param("environment:\n  PASSWORD: !hunter2 x", "line 2: a key is written twice, or", id="a tag"),
        pytest.param("environment:\n  PASSWORD: !hunter2!x y", "line 2: not YAML", id="a tag's handle"),
        pytest.param('environment:\n  PASSWORD: "hunter2', "not YAML", id="a quote that is not closed"),
        pytest.param('environment:\n  PASSWORD: "\\hunter2"', "line 2: not YAML", id="a backslash"),
        pytest.param("environment:\n  PASSWORD: a: hunter2", "line 2: not YAML", id="a colon"),
        pytest.param("environment:\n  hunter2: a\n  hunter2: b", "line 3: a key is written twice", id="a key twice"),
        pytest.param("environment:\n\tPASSWORD: hunter2", "line 2: not YAML", id="a tabulator"),
    ],
)
def test_damaged_environment_file_is_told_by_its_line_and_never_by_its_content(
    folder: Path, content: str, told: str
) -> None:
    (folder / "env.yml").write_text(content)

    (problem,) = problems(folder, "functions:\n  a: {fprocess: env, environment_file: [env.yml]}\n")

    assert problem.startswith("functions.a.environment_file: env.yml")
    assert told in problem
    assert "hunter2" not in problem


@pytest.mark.parametrize("content", ["", "environment:\n", "# nothing\n", "other: {a: [b]}\n"])
def test_environment_file_may_be_empty(folder: Path, content: str) -> None:
    (folder / "env.yml").write_text(content)

    assert only(folder, "fprocess: env\nenvironment_file: [env.yml]").env_vars == {}


@pytest.mark.parametrize(
    "value",
    ["*hunter2", "!hunter2 x", "!hunter2!x y", '"\\hunter2"', "[hunter2]", "{hunter2: x}", "a: hunter2", "'hunter2"],
)
def test_damaged_stack_file_is_told_without_its_values(folder: Path, value: str) -> None:
    told = problems(folder, f"functions:\n  a:\n    fprocess: env\n    environment:\n      PASSWORD: {value}\n")

    assert "hunter2" not in "\n".join(told)


THREE = "functions:\n  web-a: {fprocess: a}\n  web-b: {fprocess: b}\n  job: {fprocess: c}\n"


@pytest.mark.parametrize(
    ("patterns", "names"),
    [
        pytest.param({}, ["web-a", "web-b", "job"], id="all"),
        pytest.param({"wildcard": "web-*"}, ["web-a", "web-b"], id="wildcard"),
        pytest.param({"wildcard": "web"}, None, id="a wildcard matches whole names"),
        pytest.param({"regex": "web|job"}, ["web-a", "web-b", "job"], id="regular expression"),
        pytest.param({"regex": "b$"}, None, id="matched from the start"),
        pytest.param({"regex": "("}, None, id="bad expression"),
        pytest.param({"regex": "a", "wildcard": "b"}, None, id="both"),
    ],
)
def test_functions_are_chosen_by_pattern(folder: Path, patterns: dict[str, str], names: list[str] | None) -> None:
    read_stack = read(folder, THREE)

    if names is None:
        with pytest.raises(BadInput):
            read_stack.matching(**patterns)
    else:
        assert [spec.ref.name for spec in read_stack.matching(**patterns)] == names


def test_single_function_is_made_of_the_same_keys() -> None:
    spec = stack.single("echo", {"fprocess": "cat", "labels": {"a": "b"}})

    assert spec == FunctionSpec(
        ref=FunctionRef("openfaas-fn", "echo"), image=PROCESS_IMAGE, env_process="cat", labels={"a": "b"}
    )


def test_single_function_tells_its_problems_without_the_files_key() -> None:
    with pytest.raises(BadInput, match=r"^image: missing"):
        stack.single("echo", {})


def test_samples_are_valid_and_one_of_them_sleeps() -> None:
    read_stack = stack.read(SAMPLES, {})

    hello, wc = read_stack.functions
    assert read_stack.warnings == ()
    assert (Path(hello.annotations[HANDLER]) / "handler.py").is_file()
    assert hello.labels["com.openfaas.scale.zero"] == "true"
    assert wc.env_process == "wc"
