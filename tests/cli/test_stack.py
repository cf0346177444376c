"""stack.yaml: what it says, and what is wrong with it."""

from __future__ import annotations

import contextlib
import re
import time
from pathlib import Path
from typing import Any

import pytest

from springtide.cli import stack
from springtide.cli.stack import Overrides, Stack
from springtide.cli.up import SAMPLES
from springtide.provider.process import templates
from springtide.provider.spec import NAME_RULE, PROCESS_IMAGE, PYTHON_IMAGE, FunctionSpec
from springtide.runtime.errors import BadInput
from springtide.scaler.core.label_names import HANDLER, LANG
from springtide.scaler.core.vocabulary import FunctionRef

RUNS = f"give an image, an fprocess, or a handler folder with one of the langs {templates.runnable()}"


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


def test_environment_file_wins_over_the_inline_environment_and_the_command_line_over_both(folder: Path) -> None:
    (folder / "last.yml").write_text("environment: {B: from the last file}\n")
    body = (
        "fprocess: env\nenvironment_file:\n  - more.yml\n  - last.yml\n"
        "environment:\n  A: inline\n  B: inline\n  C: inline\n  D: inline"
    )

    spec = only(folder, body, environment={"C": "from flag"})

    assert spec.env_vars == {"A": "from file", "B": "from the last file", "C": "from flag", "D": "inline"}


@pytest.mark.parametrize(
    ("body", "wished", "namespace"),
    [
        pytest.param("fprocess: cat", None, "openfaas-fn", id="default"),
        pytest.param("fprocess: cat", "dev", "dev", id="command line"),
        pytest.param("fprocess: cat\nnamespace: staging", None, "staging", id="the file"),
        pytest.param("fprocess: cat\nnamespace: staging", "dev", "dev", id="the command line wins"),
    ],
)
def test_namespace_is_the_command_lines_then_the_files(
    folder: Path, body: str, wished: str | None, namespace: str
) -> None:
    assert only(folder, body, namespace=wished).ref.namespace == namespace


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
    lang: ruby
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
        f"functions.nothing.image: missing; {RUNS}",
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
        pytest.param("environment:\n  A: b\n---\nhunter2: c", "line 3: a second document", id="two documents"),
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


def test_environment_file_that_gives_nothing_is_warned_of_with_the_form_it_must_have(folder: Path) -> None:
    (folder / "env.yml").write_text("PASSWORD: hunter2\n")

    (warning,) = read(folder, "functions:\n  a: {fprocess: env, environment_file: [env.yml]}\n").warnings

    assert "functions.a.environment_file: env.yml: no variables; write 'environment:'" in warning
    assert "hunter2" not in warning


def test_handler_in_typescript_is_told_what_to_do(folder: Path) -> None:
    (folder / "fn").mkdir()
    (folder / "fn" / "handler.ts").write_text("export default async (e: any) => 1")

    (problem,) = problems(folder, "functions:\n  a: {lang: node20, handler: fn}\n")

    assert "TypeScript is not compiled here: let tsc write handler.js" in problem


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
        pytest.param({"regex": "b$"}, ["web-b", "job"], id="found anywhere"),
        pytest.param({"regex": "^b"}, None, id="found nowhere"),
        pytest.param({"wildcard": "*b"}, ["web-b", "job"], id="wildcard at the beginning"),
        pytest.param({"wildcard": "eb-*"}, None, id="a wildcard matches from the start"),
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
        assert [entry.ref.name for entry in read_stack.matching(**patterns)] == names


def test_single_function_is_made_of_the_same_keys() -> None:
    spec = stack.single("echo", {"fprocess": "cat", "labels": {"a": "b"}}).wanted()

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


KEY = "-----BEGIN KEY-----\nMIIE\n'\"#: {[\n-----END KEY-----\n"
SURVIVORS = [
    pytest.param("${V}", id="plain"),
    pytest.param('"${V}"', id="in double quotes"),
    pytest.param("'${V}'", id="in single quotes"),
    pytest.param("!!str ${V}", id="tagged"),
    pytest.param("${V} # a comment with ${NOPE}", id="before a comment"),
    pytest.param("|-\n  ${V}", id="in a block"),
    pytest.param(">-\n  ${V}", id="in a folded block"),
]


@pytest.mark.parametrize("written", SURVIVORS)
@pytest.mark.parametrize(
    "value",
    [
        pytest.param(KEY, id="several lines"),
        pytest.param("pass # word", id="what would be a comment"),
        pytest.param('it\'s "quoted" \\n', id="quotes and backslashes"),
        pytest.param("a: b", id="what would be a mapping"),
        pytest.param("null", id="what would be null"),
        pytest.param("[1]", id="what would be a list"),
        pytest.param("*x &y !z @ ` %", id="what would mean something to YAML"),
        pytest.param("\t", id="a tabulator"),
        pytest.param("${V}", id="what would be a variable"),
    ],
)
def test_value_of_a_variable_arrives_as_it_is(folder: Path, written: str, value: str) -> None:
    indented = written.replace("\n", "\n    ")
    (folder / "stack.yaml").write_text(
        f"functions:\n  echo:\n    fprocess: env\n    environment:\n      A: {indented}\n      B: x\n".replace(
            "\n      ${V}\n", "\n        ${V}\n"
        )
    )

    read_stack = stack.read(folder / "stack.yaml", {"V": value})

    assert read_stack.functions[0].env_vars == {"A": value, "B": "x"}
    assert read_stack.warnings == ()


def test_variables_are_filled_in_wherever_text_is(folder: Path) -> None:
    text = """
provider: {name: openfaas, gateway: ${GATEWAY:-http://a.example:1}}
functions:
  ${PREFIX:-x}-echo: {image: r/${OWNER:=me}/x:${TAG-latest}, fprocess: sh -c ${CMD}, secrets: [${KEY}, $${KEY}]}
  other:
    fprocess: cat
    labels:
      ${PREFIX}: "${UNSET:-say \\"hi\\"}"
      slashes: "${SLASHES//\\//-}"
      text: ${UNSET:-a: b # c, [d]}
      # ${NOPE} in a comment
    environment:
      EMPTY: ${EMPTY}
"""
    read_stack = read(folder, text, {"PREFIX": "p", "KEY": "k", "CMD": "a: b", "SLASHES": "a/b/c", "EMPTY": ""})

    echo, other = read_stack.functions
    assert read_stack.gateway == "http://a.example:1"
    assert (echo.ref.name, echo.image, echo.env_process) == ("p-echo", "r/me/x:latest", "sh -c a: b")
    assert echo.secrets == ("k", "${KEY}")
    assert other.labels == {"p": 'say "hi"', "slashes": "a-b-c", "text": "a: b # c, [d]"}
    assert other.env_vars == {"EMPTY": ""}
    assert read_stack.warnings == ()


def test_what_became_empty_without_quotes_is_nothing_and_in_quotes_an_empty_text(folder: Path) -> None:
    body = "    fprocess: cat\n    secrets: ${NONE:-}\n    limits: ${NONE:-}\n    labels: {a: ${NONE:-}}"

    (spec,) = read(folder, f"functions:\n  a:\n{body}\n").functions

    assert (spec.secrets, spec.limits, spec.labels) == ((), {}, {"a": ""})
    assert problems(folder, "functions:\n  a: {fprocess: cat, secrets: '${NONE:-}'}") == [
        "functions.a.secrets: must be a list of values, one '- value' a line, not a single value"
    ]


def test_form_that_is_none_is_left_and_warned_about_with_its_line(folder: Path) -> None:
    read_stack = read(
        folder, "functions:\n  echo:\n    fprocess: awk ${1}\n    image: a${TAG:?name a tag}", {"TAG": "1"}
    )

    assert read_stack.functions[0].env_process == "awk ${1}"
    (warning,) = read_stack.warnings
    told = "line 3: ${1… is no form of a variable and was left as it is; write $${1 to mean that"
    assert warning == f"{folder / 'stack.yaml'}: {told}"


def test_variable_that_the_file_demands_is_a_problem_with_its_line(folder: Path) -> None:
    told = problems(folder, "functions:\n  a:\n    fprocess: cat\n    image: x:${TAG:?name a tag}\n")

    assert told == ["line 4: ${TAG} is not set: name a tag"]


def test_keys_that_become_the_same_are_refused(folder: Path) -> None:
    (told,) = problems(folder, "functions:\n  ${A:-x}: {fprocess: a}\n  x: {fprocess: b}\n")

    assert "'x' is written twice (line 3, column 3)" in told


def test_file_without_substitution_is_read_as_it_stands(folder: Path) -> None:
    (folder / "stack.yaml").write_text("functions:\n  a: {fprocess: 'cat ${A} $$'}\n")

    (entry,) = stack.read_each(folder / "stack.yaml", None).entries

    assert entry.wanted().env_process == "cat ${A} $$"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        pytest.param(
            "functions:\n  a:\n    image: ${V}\n    fprocess: x: y\n",
            "mapping values are not allowed here (line 4, column 16) at key fprocess; put a value that has ': ' in it",
            id="a colon in a value",
        ),
        pytest.param(
            "functions:\n  a:\n    image: ${V}\n\tfprocess: x\n",
            "(line 4, column 1) at key fprocess; it is a tabulator; indent with spaces",
            id="a tabulator",
        ),
        pytest.param(
            "functions:\n  a:\n    image: ${V}\n   fprocess: x\n",
            "(line 4, column 4) at key fprocess; indent it as the lines",
            id="an indentation between two levels",
        ),
        pytest.param(
            "functions:\n  a:\n    image: ${V}\n    fprocess: 'x\n    labels: {}\n",
            "(line 4, column 15) at key fprocess; close the quote",
            id="a quote that is not closed",
        ),
        pytest.param(
            "functions:\n  a:\n    image: ${V}\n    fprocess: @x\n",
            "(line 4, column 15) at key fprocess; put a value that begins with it in quotes",
            id="a character that YAML keeps for itself",
        ),
        pytest.param(
            "functions:\n  a:\n    image: ${V}\n    fprocess: *.py\n",
            "(line 4, column 16) at key fprocess; put a value that begins with * or & in quotes",
            id="a star",
        ),
        pytest.param(
            "functions:\n  a: {fprocess: x, image: ${V}\n",
            "(line 2, column 6) at key a",
            id="a brace that is not closed",
        ),
        pytest.param(
            "functions:\n  a: {fprocess: {x}, image: {y z: }\n",
            "expected ',' or '}', but got '<stream end>' (line 2, column 6) at key a",
            id="the library's own words stay",
        ),
        pytest.param(
            "functions:\n  a:\n    image: ${V}\n    image: x\n",
            "'image' is written twice (line 4, column 5) at key image",
            id="a key twice",
        ),
    ],
)
def test_yaml_error_names_the_place_in_the_file_whatever_variables_hold(folder: Path, text: str, told: str) -> None:
    (folder / "stack.yaml").write_text(text)

    with pytest.raises(BadInput) as caught:
        stack.read(folder / "stack.yaml", {"V": "many\nlines\n" * 9})

    assert told in str(caught.value)


@pytest.mark.parametrize("end", ["---\n", "---\n# nothing\n", "...\n"])
def test_nothing_may_come_after_the_document(folder: Path, end: str) -> None:
    assert len(read(folder, f"functions:\n  a: {{fprocess: cat}}\n{end}").functions) == 1


def test_second_document_is_refused_with_its_line(folder: Path) -> None:
    (told,) = problems(folder, "functions:\n  a: {fprocess: cat}\n---\nfunctions:\n  b: {fprocess: cat}\n")

    assert told == "a stack file is one document; a second begins at line 3: put it in a file of its own"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        pytest.param(
            "functions:\n  greet:\n    lang: python3-http\n    handler: ./greet\n"
            "  labels:\n    a: b\n  secrets:\n    - key\n",
            [
                "functions.labels: a key of a function, not a function; indent it, to stand under greet",
                "functions.secrets: a key of a function, not a function; indent it, to stand under greet",
            ],
            id="some keys beside the function",
        ),
        pytest.param(
            "functions:\n  greet:\n  fprocess: cat\n  image: a\n",
            [
                "functions.fprocess: a key of a function, not a function; indent it, to stand under greet",
                "functions.image: a key of a function, not a function; indent it, to stand under greet",
            ],
            id="all keys beside the function",
        ),
        pytest.param(
            "functions:\n  greet:\n    fprocess: cat\nlabels:\n  a: b\n",
            ["labels: a key of a function; indent it, to stand under the function's name, under functions"],
            id="a key beside functions",
        ),
        pytest.param(
            "functions:\ngreet:\n  fprocess: cat\n",
            ["greet: a function; indent it, to stand under functions"],
            id="a function beside functions",
        ),
        pytest.param(
            "provider:\n  name: openfaas\ngateway: http://x\nfunctions:\n  a: {fprocess: cat}\n",
            ["gateway: a key of provider; indent it, to stand under provider"],
            id="the gateway beside the provider",
        ),
        pytest.param(
            "functions:\n  greet:\n    fprocess: cat\n    other:\n      fprocess: wc\n",
            ["functions.greet.other: a function within another; indent both alike"],
            id="a function within another",
        ),
        pytest.param(
            "functions:\n  greet:\n    fprocess: cat\n    environment:\n      A: b\n      labels:\n        a: b\n",
            [
                (
                    "functions.greet.environment.labels: must be a single value, not a mapping; "
                    "if it is a key of the function, it is indented too far"
                )
            ],
            id="a key too far in",
        ),
        pytest.param(
            "functions:\n  greet:\n    lang: python3-http\n  handler: ./none\n",
            [
                "functions.handler: a key of a function, not a function; indent it, to stand under greet",
                "functions.greet.handler: {folder}/none holds no handler.py; correct the path, or give an image",
            ],
            id="what else is wrong is told, too",
        ),
    ],
)
def test_keys_a_level_off_are_named_with_where_they_belong_and_not_their_consequences(
    folder: Path, text: str, told: list[str]
) -> None:
    assert problems(folder, text) == [problem.replace("{folder}", str(folder)) for problem in told]


@pytest.mark.parametrize("name", ["labels", "requests", "secrets"])
def test_function_may_have_the_name_of_a_key(folder: Path, name: str) -> None:
    (spec,) = read(folder, f"functions:\n  {name}:\n    image: a\n").functions

    assert spec.ref.name == name


def test_function_that_is_wrong_leaves_the_others_alone(folder: Path) -> None:
    (folder / "stack.yaml").write_text("functions:\n  a: {}\n  b: {fprocess: cat, namespace: dev}\n")

    wrong, right = stack.read_each(folder / "stack.yaml", {}).entries

    assert (wrong.ref.name, wrong.spec, right.ref) == ("a", None, FunctionRef("dev", "b"))
    assert wrong.problems == ((f"{folder / 'stack.yaml'}: functions.a.image: missing; {RUNS}"),)
    with pytest.raises(BadInput, match=r"functions\.a\.image: missing"):
        wrong.wanted()


@pytest.mark.parametrize(
    ("written", "read_only"),
    [("yes", True), ("On", True), ("true", True), ("no", False), ("off", False), ("False", False), ("~", False)],
)
def test_flag_is_read_as_faas_cli_reads_it(folder: Path, written: str, read_only: bool) -> None:
    spec = only(folder, f"fprocess: cat\nreadonly_root_filesystem: {written}")

    assert spec.read_only_root_filesystem is read_only


def test_values_are_the_text_that_was_written(folder: Path) -> None:
    values = {"A": "yes", "B": "0755", "C": "1.10", "D": "0x1F", "E": "1_000", "F": "2001-01-01", "G": "1e3", "H": ".5"}
    lines = "\n".join(f"  {key}: {value}" for key, value in values.items())

    assert only(folder, f"fprocess: env\nenvironment:\n{lines}\n  N: null\n  T: ~").env_vars == values | {
        "N": "",
        "T": "",
    }


def test_file_of_another_system_is_read_as_utf_8(folder: Path) -> None:
    (folder / "stack.yaml").write_bytes(b"\xef\xbb\xbffunctions:\r\n  a:\r\n    fprocess: echo \xc3\xbc\r\n")

    assert stack.read(folder / "stack.yaml", {}).functions[0].env_process == "echo ü"


def test_labels_and_annotations_in_each_others_place_are_told(folder: Path) -> None:
    body = "fprocess: cat\n    labels: {schedule: '@daily'}\n"
    told = problems(folder, f"functions:\n  a:\n    {body}    annotations: {{com.openfaas.scale.max: 5}}\n")

    assert told == ["functions.a: annotation com.openfaas.scale.max='5': read from labels only; write it there"]
    assert read(folder, f"functions:\n  a:\n    {body}").warnings == (
        f"{folder / 'stack.yaml'}: functions.a.labels.schedule: read from annotations only; write it there",
    )
    assert stack.single("a", {"fprocess": "cat", "labels": {"topic": "x"}}).warnings == (
        "labels.topic: read from annotations only; write it there",
    )


@pytest.mark.parametrize(
    "written",
    [
        pytest.param("${" * 300_000, id="openings"),
        pytest.param("${A:-" * 190_000, id="defaults"),
        pytest.param('"' + "${A/" * 200_000 + '"', id="replacements in quotes"),
        pytest.param("${1} " * 190_000, id="what is no form"),
        pytest.param(" '${A}" * 150_000, id="quotes"),
        pytest.param("${A%" + "*a" * 400 + "} " * 2, id="a pattern of many stars"),
    ],
)
def test_file_of_many_beginnings_is_answered_soon(folder: Path, written: str) -> None:
    """In processor time, and generous: what goes wrong here takes hours."""
    (folder / "stack.yaml").write_text(f"functions:\n  a: {{fprocess: cat}}\n  b:\n    fprocess: x {written}\n")
    started = time.process_time()

    with contextlib.suppress(BadInput):
        stack.read(folder / "stack.yaml", {"A": "a" * 9_999})

    assert time.process_time() - started < 60


def test_remarks_about_variables_have_an_end(folder: Path) -> None:
    names = " ".join(f"${{V{number}}}" for number in range(100))

    warnings = read(folder, f"functions:\n  a:\n    fprocess: x {names}\n").warnings

    assert len(warnings) == 51
    assert warnings[-1].endswith("50 more variables are not set, or no form of one")


def test_what_a_file_keeps_for_reuse_is_no_function_of_it(folder: Path) -> None:
    text = (
        "x-base: {fprocess: cat}\ncommon: &common\n  fprocess: cat\nlabels: &labels {a: b}\n"
        "functions: &all\n  one:\n    <<: *common\n    labels: *labels\n"
    )

    read_stack = read(folder, text)

    assert [(spec.env_process, spec.labels) for spec in read_stack.functions] == [("cat", {"a": "b"})]
    assert read_stack.warnings == ()


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("com.openfaas.health.http.pth", "com.openfaas.health.http.path"),
        ("com.openfaas.health.http.initialdelay", "com.openfaas.health.http.initialDelay"),
        ("com.openfaas.redy.http.path", "com.openfaas.ready.http.path"),
        ("com.openfaas.profiles", "com.openfaas.profile"),
        ("com.openfaas.profile ", "com.openfaas.profile"),
        ("com.springtide.handlr", "com.springtide.handler"),
    ],
)
def test_misspelt_annotation_is_warned_about_with_the_one_that_is_meant(folder: Path, written: str, meant: str) -> None:
    (warning,) = read(folder, f"functions:\n  a: {{fprocess: cat, annotations: {{'{written}': x}}}}\n").warnings

    assert warning.endswith(f"functions.a.annotations.{written}: unknown; is it {meant}?")


@pytest.mark.parametrize("name", ["com.openfaas.health.http.path", "topics", "com.example.profile", "a"])
def test_other_annotation_is_no_misspelt_one(folder: Path, name: str) -> None:
    assert read(folder, f"functions:\n  a: {{fprocess: cat, annotations: {{{name}: /x}}}}\n").warnings == ()


def test_schedule_of_a_function_is_short_for_the_annotations(folder: Path) -> None:
    told = read(folder, 'functions:\n  a: {fprocess: cat, schedule: "*/5 * * * *; @daily"}\n')

    assert told.functions[0].annotations == {"topic": "cron-function", "schedule": "*/5 * * * *; @daily"}
    assert told.warnings == ()


def test_wrong_schedule_in_a_stack_file_is_told_with_its_function(folder: Path) -> None:
    with pytest.raises(BadInput, match=r"functions\.a: annotation schedule='61 \* \* \* \*': the minute '61'"):
        read(folder, 'functions:\n  a: {fprocess: cat, schedule: "61 * * * *"}\n')
