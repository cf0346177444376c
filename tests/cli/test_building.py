"""springtide new, build, deploy --build, store and template."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from springtide.cli import new_function, stack
from springtide.provider.process import starters
from springtide.runtime.errors import BadInput
from springtide.scaler.core import label_names


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


# new


@pytest.mark.parametrize("lang", [starter.lang for starter in starters.STARTERS])
def test_new_writes_a_function_that_can_be_deployed(springtide: Any, here: Path, lang: str) -> None:
    outcome = springtide("new", "greet", "--lang", lang)

    assert (outcome.status, outcome.err) == (0, "")
    assert set(starters.of_lang(lang).files) == {file.name for file in (here / "greet").iterdir()}
    (spec,) = stack.read(here / "stack.yaml", {}).functions
    assert (spec.ref.name, spec.image) == ("greet", "greet:latest")
    assert spec.annotations == {label_names.HANDLER: str(here / "greet"), label_names.LANG: lang}


def test_new_adds_to_a_stack_file_and_leaves_the_rest_as_it_was(springtide: Any, here: Path) -> None:
    before = "# mine\nfunctions:\n    first:   # keep this\n        fprocess: cat\n\nconfiguration:\n  copy: [x]\n"
    (here / "mine.yml").write_text(before)

    outcome = springtide("new", "second", "--lang", "node20", "--append", "mine.yml", "--prefix", "ttl.sh/me")

    assert (outcome.status, outcome.err) == (0, "")
    added = "    second:\n        lang: node20\n        handler: ./second\n        image: ttl.sh/me/second:latest\n"
    assert (here / "mine.yml").read_text() == before.replace("\n\nconfig", f"\n{added}\nconfig")


def test_new_finds_the_folder_from_where_the_stack_file_is(springtide: Any, here: Path) -> None:
    (here / "sub").mkdir()
    (here / "sub" / "stack.yml").write_text("functions:\n  a: {fprocess: cat}\n")

    outcome = springtide("new", "one", "--append", "sub/stack.yml", "--handler", "code/one")

    assert (outcome.status, outcome.err) == (0, "")
    names = {spec.ref.name: spec for spec in stack.read(here / "sub" / "stack.yml", {}).functions}
    assert names["one"].annotations[label_names.HANDLER] == str(here / "code" / "one")


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        pytest.param(("Greet",), "is not a valid name", id="name"),
        pytest.param(("greet", "--lang", "java17"), "lang 'java17'", id="language"),
        pytest.param(("there",), "there: is there already", id="folder"),
        pytest.param(("greet",), "stack.yaml: is there already; add the function to it with --append", id="stack file"),
        pytest.param(("greet", "--append", "none.yml"), "none.yml: No such file", id="no such file"),
        pytest.param(("first", "--append", "stack.yaml"), "has a function first already", id="twice"),
        pytest.param(("greet", "--append", "flow.yml"), "has no list `functions:`", id="flow style"),
    ],
)
def test_new_overwrites_nothing(springtide: Any, here: Path, arguments: tuple[str, ...], why: str) -> None:
    (here / "there").mkdir()
    (here / "stack.yaml").write_text("functions:\n  first:\n    fprocess: cat\n")
    (here / "flow.yml").write_text("functions: {first: {fprocess: cat}}\n")
    before = {file.name: file.read_text() for file in here.iterdir() if file.is_file()}

    outcome = springtide("new", *arguments)

    assert outcome.status == 1
    assert why in outcome.err
    assert {file.name: file.read_text() for file in here.iterdir() if file.is_file()} == before
    assert not (here / "greet").exists()


def test_new_lists_the_templates(springtide: Any) -> None:
    outcome = springtide("new", "--list")

    assert [line.split()[0] for line in outcome.out.splitlines()[1:]] == [each.lang for each in starters.STARTERS]


def test_what_would_not_be_a_stack_file_any_more_is_not_written() -> None:
    with pytest.raises(BadInput):
        new_function.with_function("functions:\n- a\n", "fn", {"lang": "node"}, "stack.yaml")


# build


def project(here: Path, *, broken: bool = False) -> None:
    (here / "greet" / "__pycache__").mkdir(parents=True)
    (here / "greet" / "__pycache__" / "x.pyc").write_text("")
    (here / "greet" / "node_modules").mkdir()
    (here / "greet" / "node_modules" / "x.js").write_text("")
    (here / "greet" / "handler.py").write_text("FAIL" if broken else "def handle(event, context): ...")
    (here / "stack.yaml").write_text(
        "functions:\n"
        "  greet: {lang: python3-http-debian, handler: ./greet, image: ttl.sh/me/greet:1}\n"
        "  job: {fprocess: cat}\n"
    )


def another(here: Path) -> None:
    """A function more, which can be built."""
    (here / "fine").mkdir()
    (here / "fine" / "handler.js").write_text("module.exports = async () => 1")
    with (here / "stack.yaml").open("a") as file:
        file.write("  fine: {lang: node20, handler: ./fine}\n")


def test_build_sends_the_handler_and_its_templates_name(springtide: Any, here: Path, api: Any) -> None:
    project(here)

    outcome = springtide("build", "--payload-secret", str(api.payload_secret))

    assert outcome.status == 0
    assert "[greet] 2 files\n" in outcome.out
    assert "Built greet. Image: ttl.sh/me/greet:1\n" in outcome.out
    made = api.builder.builds[-1]
    assert made.image == "ttl.sh/me/greet:1"
    assert set(made.files) == {"template.yml", "function/handler.py"}
    assert made.files["template.yml"].startswith("language: python3-http-debian\nfprocess: python index.py\n")


def test_build_that_fails_is_told_and_leaves_the_others_to_be_built(springtide: Any, here: Path, api: Any) -> None:
    project(here, broken=True)
    another(here)

    outcome = springtide("build", "--payload-secret", str(api.payload_secret), "--json")

    assert outcome.status == 1
    assert json.loads(outcome.out) == [
        {"name": "greet", "result": "failed", "problem": "the build failed: No solution found"},
        {"name": "fine", "result": "built", "image": "fine:latest"},
    ]
    assert "job has no handler folder: nothing to build" in outcome.err


def test_build_says_what_is_wrong_with_the_secret(springtide: Any, here: Path) -> None:
    project(here)
    (here / "wrong").write_text("wrong")

    outcomes = [
        springtide("build", *more) for more in ((), ("--payload-secret", "none"), ("--payload-secret", "wrong"))
    ]

    assert [outcome.status for outcome in outcomes] == [1, 1, 1]
    assert "--payload-secret" in outcomes[0].err
    assert "none: No such file" in outcomes[1].err
    assert "X-Build-Signature" in outcomes[2].err


def test_deploy_builds_first_and_deploys_the_image(springtide: Any, here: Path, api: Any) -> None:
    project(here)

    outcome = springtide("deploy", "--build", "--payload-secret", str(api.payload_secret))

    assert outcome.status == 0, outcome.err
    described = json.loads(springtide("describe", "greet", "--json").out)
    assert (described["image"], described["annotations"]) == ("ttl.sh/me/greet:1", {})


def test_deploy_of_a_function_that_is_not_built_leaves_it_as_it_was(springtide: Any, here: Path, api: Any) -> None:
    project(here, broken=True)

    outcome = springtide("deploy", "--build", "--payload-secret", str(api.payload_secret))

    assert outcome.status == 1
    assert "greet is not deployed: the build failed: No solution found" in outcome.err
    assert springtide("describe", "greet").status == 1


# store and templates


def test_store_is_listed_and_its_functions_deployed(springtide: Any, api: Any) -> None:
    listed = json.loads(springtide("store", "list", "--json").out)
    outcome = springtide("store", "deploy", "sleep", "--name", "nap", "-e", "sleep_duration=1s", "--label", "a=b")

    assert {"nodeinfo", "cat", "env"} <= {function["name"] for function in listed}
    assert (outcome.status, outcome.err) == (0, "")
    described = json.loads(springtide("describe", "nap", "--json").out)
    assert described["image"] == "springtide/sleep:latest"
    assert (described["envVars"], described["labels"]["a"]) == ({"sleep_duration": "1s"}, "b")


def test_store_says_what_it_has_not(springtide: Any) -> None:
    outcome = springtide("store", "inspect", "nosuch")

    assert (outcome.status, outcome.err) == (
        1,
        "springtide: no function nosuch in the store; springtide store list shows them\n",
    )


def test_store_elsewhere_is_asked_without_credentials(springtide: Any, api: Any) -> None:
    outcome = springtide("store", "inspect", "cat", "--url", f"{api.url}/store/functions.json")

    assert json.loads(outcome.out)["fprocess"] == "cat"


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not on PATH")
def test_templates_are_listed_with_the_way_to_pull_them(springtide: Any) -> None:
    outcome = springtide("template", "list")

    assert outcome.out.splitlines()[-1].startswith("faas-cli template pull /")
