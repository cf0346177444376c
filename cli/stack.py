"""``stack.yaml``: the file in which people list their functions, read into specs. All its problems are told at once.

A function whose ``lang`` is a template that runs here and whose ``handler`` is a folder with a handler for it runs from
that folder, without a container build. Paths in the file are relative to the file.
"""

from __future__ import annotations

import contextlib
import difflib
import fnmatch
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from springtide.cli import environment_files, stack_shape, stack_source, yaml_text
from springtide.cli.stack_shape import CONFIGURATION_KEYS, FUNCTION_KEYS, PROVIDER_KEYS, RESOURCE_KEYS, ROOT_KEYS
from springtide.cli.stack_source import Source
from springtide.cli.substitution import Substitution
from springtide.provider import annotation_values
from springtide.provider.process import templates
from springtide.provider.spec import FunctionSpec, spec_from_json, spec_to_json
from springtide.runtime.errors import BadInput
from springtide.scaler.core import label_names
from springtide.scaler.core.vocabulary import DEFAULT_NAMESPACE, FunctionRef

HANDLER = "com.springtide.handler"
"""Annotation: the absolute folder of a handler."""
LANG = "com.springtide.lang"
"""Annotation beside it: the template the handler was written for, which decides how it is called."""
PYTHON_IMAGE, PROCESS_IMAGE = "springtide/python", "springtide/process"
"""Written where a function names no image: the wire asks for one, processes need none."""

MAX_REMARKS = 50
"""About variables of one file."""
_TRUE, _FALSE = ("true", "yes", "on", "y"), ("false", "no", "off", "n")
"""As YAML 1.1 has them, and faas-cli's reader."""
_PYTHON3 = re.compile(r"python3(?:[-.].*)?")


@dataclass(frozen=True, slots=True)
class Entry:
    """One function of a file: its spec, or what is wrong with it, each with its key and a remedy."""

    ref: FunctionRef
    spec: FunctionSpec | None
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def wanted(self) -> FunctionSpec:
        """Raises BadInput when something is wrong with it."""
        if self.spec is None:
            raise BadInput("\n".join(self.problems))
        return self.spec


@dataclass(frozen=True, slots=True)
class Stack:
    """What a stack file says; ``warnings`` are sentences for a person."""

    gateway: str | None
    entries: tuple[Entry, ...]
    warnings: tuple[str, ...] = ()

    @property
    def functions(self) -> tuple[FunctionSpec, ...]:
        return tuple(entry.spec for entry in self.entries if entry.spec is not None)

    def named(self, name: str) -> Entry:
        for entry in self.entries:
            if entry.ref.name == name:
                return entry
        raise BadInput(f"no function {name} in the stack file; there are {self._names()}")

    def matching(self, *, wildcard: str | None = None, regex: str | None = None) -> tuple[Entry, ...]:
        """The functions whose names match: a wildcard as a whole, an expression anywhere, as with faas-cli.

        All without a pattern. Raises BadInput when none does.
        """
        if wildcard and regex:
            raise BadInput("--filter and --regex exclude each other; give one")
        try:
            pattern = re.compile(regex or r"\A" + fnmatch.translate(wildcard or "*"))
        except re.error as error:
            raise BadInput(f"--regex {regex!r}: {error}") from error
        chosen = tuple(entry for entry in self.entries if pattern.search(entry.ref.name))
        if not chosen:
            raise BadInput(f"no function matches {wildcard or regex!r}; there are {self._names()}")
        return chosen

    def _names(self) -> str:
        return ", ".join(entry.ref.name for entry in self.entries)


@dataclass(frozen=True, slots=True, kw_only=True)
class Overrides:
    """What the command line says of every function of a file: it wins, key by key; lists grow."""

    environment: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    limits: Mapping[str, str] = field(default_factory=dict)
    requests: Mapping[str, str] = field(default_factory=dict)
    secrets: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()
    read_only: bool = False
    namespace: str | None = None
    default_namespace: str | None = None
    """Of functions for which neither the command line nor the file names one."""


NOTHING = Overrides()


def read(source: Path | Source, variables: Mapping[str, str], overrides: Overrides = NOTHING) -> Stack:
    """A stack file all of whose functions are right; ``variables`` fill in ``${VAR}``.

    Raises BadInput with every problem, one a line.
    """
    stack = read_each(source, variables, overrides)
    if problems := [problem for entry in stack.entries for problem in entry.problems]:
        raise BadInput("\n".join(problems))
    return stack


def read_each(source: Path | Source, variables: Mapping[str, str] | None, overrides: Overrides = NOTHING) -> Stack:
    """The same where a function that is wrong leaves the others alone: its entry says what is wrong with it.

    Without ``variables`` every ``${VAR}`` stays as it is. Raises BadInput for what is wrong with the file itself.
    """
    source = stack_source.from_file(source) if isinstance(source, Path) else source
    reader = _Reader(source.folder, overrides)
    with reader.of_file(source.name):
        root = reader.mapping(reader.load(source, variables), "the file")
        provider = reader.mapping(root.get("provider"), "provider")
        reader.known(provider, PROVIDER_KEYS, "provider.")
        reader.known(reader.mapping(root.get("configuration"), "configuration"), CONFIGURATION_KEYS, "configuration.")
        gateway = reader.text(provider, "gateway", "provider.")
        spare = stack_shape.for_reuse(source.text)
        functions = reader.functions({key: value for key, value in root.items() if key not in spare - {*ROOT_KEYS}})
        if reader.problems:
            for name, value in functions.items():  # so that all is told at once
                reader.function(name, value)
    entries = tuple(reader.entry(name, value, source.name) for name, value in functions.items())
    return Stack(gateway or None, entries, tuple(f"{source.name}: {warning}" for warning in reader.warnings))


def single(name: str, value: Mapping[str, Any], overrides: Overrides = NOTHING) -> Entry:
    """One function by the keys of a stack file; paths are relative to the current folder. Raises BadInput."""
    reader = _Reader(Path.cwd(), overrides)
    spec, where = reader.function(name, dict(value)), f"functions.{name}"
    if spec is None or reader.problems:
        raise BadInput("\n".join(problem.removeprefix(where)[1:].strip() for problem in reader.problems))
    return Entry(spec.ref, spec, warnings=tuple(warning.removeprefix(f"{where}.") for warning in reader.warnings))


class _Reader:
    """Reads parts of a file and keeps what is wrong with them, each with its key and a remedy."""

    def __init__(self, folder: Path, overrides: Overrides) -> None:
        self._folder = folder
        self._overrides = overrides
        self.problems: list[str] = []
        self.warnings: list[str] = []

    @contextlib.contextmanager
    def of_file(self, name: str) -> Iterator[None]:
        """Raises BadInput with the problems found within, as those of the file."""
        try:
            yield
        except BadInput as error:
            raise BadInput(str(error) if str(error).startswith(name) else f"{name}: {error}") from error
        if self.problems:
            raise BadInput("\n".join(f"{name}: {problem}" for problem in self.problems))

    def load(self, source: Source, variables: Mapping[str, str] | None) -> Any:
        """The document with its variables filled in."""
        if variables is None:
            return yaml_text.load(source.text, source.name)
        substitution, remarks = Substitution(variables), list[str]()

        def fill(text: str, line: int) -> str:
            filled = substitution.fill(text)
            self.problems += [f"line {line}: {demand}" for demand in substitution.demanded]
            remarks.extend(
                f"line {line}: {left}… is no form of a variable and was left as it is; write $${left[1:]} to mean that"
                for left in substitution.left
            )
            return filled

        root = yaml_text.load(source.text, source.name, fill)
        remarks += [f"${{{name}}} is not set and has no default; it was left empty" for name in substitution.unset]
        self.warnings += remarks[:MAX_REMARKS]
        if len(remarks) > MAX_REMARKS:
            self.warnings.append(f"{len(remarks) - MAX_REMARKS} more variables are not set, or no form of one")
        return root

    def functions(self, root: Mapping[str, Any]) -> dict[str, Any]:
        """The entries of ``functions``; keys that stand a level off are problems, their consequences are not."""
        misplaced = stack_shape.misplaced_in_root(root)
        self.problems += [f"{key}: {remedy}" for key, remedy in misplaced.items()]
        self.known({key: value for key, value in root.items() if key not in misplaced}, ROOT_KEYS, "")
        functions, problems = stack_shape.with_keys_in_place(self.mapping(root.get("functions"), "functions"))
        self.problems += problems
        if not functions and not self.problems:
            self.problems.append("functions: missing; list at least one function under it")
        return functions

    def entry(self, name: str, value: object, file: str) -> Entry:
        """One function with its own problems."""
        self.problems = []
        spec = self.function(name, value)
        written = value.get("namespace") if isinstance(value, dict) else None
        ref = FunctionRef(self._namespace(written if isinstance(written, str) else ""), name)
        return Entry(spec.ref if spec else ref, spec, tuple(f"{file}: {problem}" for problem in self.problems))

    def function(self, name: str, value: object) -> FunctionSpec | None:
        """The spec of one entry of ``functions``; None when it has problems."""
        where, before = f"functions.{name}.", len(self.problems)
        entry = self.mapping(value, where[:-1])
        self.known(entry, FUNCTION_KEYS, where)
        image, handler = self._runs(entry, where)
        asked = self._overrides
        annotations = self.strings(entry, "annotations", where) | dict(asked.annotations)
        spec = FunctionSpec(
            ref=FunctionRef(self._namespace(self.text(entry, "namespace", where)), name),
            image=image,
            env_process=self.text(entry, "fprocess", where),
            env_vars=self._environment(entry, where),
            constraints=_with(self.texts(entry, "constraints", where), asked.constraints),
            secrets=_with(self.texts(entry, "secrets", where), asked.secrets),
            labels=self.strings(entry, "labels", where) | dict(asked.labels),
            annotations=annotations | self._handler_annotations(entry, handler, where),
            limits=self._resources(entry, "limits", where) | dict(asked.limits),
            requests=self._resources(entry, "requests", where) | dict(asked.requests),
            read_only_root_filesystem=self.flag(entry, "readonly_root_filesystem", where) or asked.read_only,
        )
        try:
            spec_from_json(spec_to_json(spec) | {"image": image or "said already"}, deploying=True)
        except BadInput as error:
            self.problems += [f"{where[:-1]}: {problem}" for problem in str(error).splitlines()]
        self.warnings += [f"{where}labels.{note}" for note in label_names.without_effect(spec.labels)]
        self.warnings += [f"{where}annotations.{note}" for note in annotation_values.misspelt(spec.annotations)]
        return spec if len(self.problems) == before else None

    def _namespace(self, written: str) -> str:
        return self._overrides.namespace or written or self._overrides.default_namespace or DEFAULT_NAMESPACE

    def _runs(self, entry: Mapping[str, Any], where: str) -> tuple[str, Path | None]:
        """The image, and the folder of the handler if it runs from one."""
        image, fprocess = self.text(entry, "image", where), self.text(entry, "fprocess", where)
        lang, handler = self.text(entry, "lang", where), self.text(entry, "handler", where)
        template = _template(lang)
        if handler and not fprocess and template is not None:
            folder = (self._folder / handler).resolve()
            if any((folder / name).is_file() for name in template.handler):
                return image or PYTHON_IMAGE, folder
            missing = f"{where}handler: {folder} holds no {' or '.join(template.handler)}"
            if (folder / "handler.ts").is_file():
                missing += "; TypeScript is not compiled here: let tsc write handler.js beside handler.ts"
            if not image:
                self.problems.append(f"{missing}; correct the path, or give an image")
                return "", None
            self.warnings.append(f"{missing}; only the image can run")
        if not image and not fprocess:
            remedy = "give an image, an fprocess, or a handler folder with one of the langs " + templates.runnable()
            self.problems.append(f"{where}image: missing; {remedy}")
        return image or (PROCESS_IMAGE if fprocess else ""), None

    def _handler_annotations(self, entry: Mapping[str, Any], handler: Path | None, where: str) -> dict[str, str]:
        lang = self.text(entry, "lang", where)
        if handler is None:
            return {}
        return {HANDLER: str(handler)} | ({LANG: lang} if lang else {})

    def _environment(self, entry: Mapping[str, Any], where: str) -> dict[str, str]:
        """environment, then the files in their order, then the command line: the later wins, as with faas-cli."""
        merged = self.strings(entry, "environment", where)
        for name in self.texts(entry, "environment_file", where):
            try:
                found = environment_files.read(stack_source.text_of(self._folder / name), name)
                merged |= found
                if not found:
                    self.warnings.append(f"{where}environment_file: {name}: no variables; {environment_files.REMEDY}")
            except BadInput as error:
                self.problems += [f"{where}environment_file: {problem}" for problem in str(error).splitlines()]
        return merged | dict(self._overrides.environment)

    def _resources(self, entry: Mapping[str, Any], key: str, where: str) -> dict[str, str]:
        resources = self.strings(entry, key, where)
        self.known(resources, RESOURCE_KEYS, f"{where}{key}.")
        return {name: amount for name, amount in resources.items() if amount}

    def known(self, value: Mapping[str, Any], keys: Sequence[str], where: str) -> None:
        """Warn of keys nobody reads."""
        for key in value:
            if key not in keys and stack_shape.is_function(value[key]):
                self.problems.append(f"{where}{key}: a function within another; indent both alike")
            elif key not in keys:
                near = difflib.get_close_matches(key, keys, n=1)
                self.warnings.append(f"{where}{key}: unknown, ignored" + (f"; is it {near[0]}?" if near else ""))

    def mapping(self, value: object, where: str) -> dict[str, Any]:
        if value is None:
            return {}
        if not isinstance(value, dict):
            self.problems.append(f"{where}: must be a mapping of keys to values, not {_kind(value)}")
            return {}
        return {str(key): item for key, item in value.items()}

    def strings(self, entry: Mapping[str, Any], key: str, where: str) -> dict[str, str]:
        given = self.mapping(entry.get(key), where + key)
        for name, item in given.items():
            if not isinstance(item, str | None):
                hint = "; if it is a key of the function, it is indented too far" if name in FUNCTION_KEYS else ""
                self.problems.append(f"{where}{key}.{name}: must be a single value, not {_kind(item)}{hint}")
        return {name: item or "" for name, item in given.items() if isinstance(item, str | None)}

    def texts(self, entry: Mapping[str, Any], key: str, where: str) -> tuple[str, ...]:
        value = entry.get(key)
        if value is None:
            return ()
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            self.problems.append(f"{where}{key}: must be a list of values, one '- value' a line, not {_kind(value)}")
            return ()
        return tuple(value)

    def text(self, entry: Mapping[str, Any], key: str, where: str) -> str:
        value = entry.get(key)
        if value is None:
            return ""
        if not isinstance(value, str):
            problem = f"{where}{key}: must be a single value, not {_kind(value)}"
            if problem not in self.problems:
                self.problems.append(problem)
            return ""
        return value.strip()

    def flag(self, entry: Mapping[str, Any], key: str, where: str) -> bool:
        value = self.text(entry, key, where).lower()
        if value not in ("", *_TRUE, *_FALSE):
            self.problems.append(f"{where}{key}: {value!r} is neither true nor false")
        return value in _TRUE


def _with(given: Sequence[str], more: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*given, *more)))


def _template(lang: str) -> templates.Template | None:
    """What a handler of this template runs as; Python templates of somebody's own as Python handlers do."""
    return templates.of_handler(lang) if not lang or _PYTHON3.fullmatch(lang) else templates.known(lang)


def _kind(value: object) -> str:
    """In place of the content, which may be a secret, or a megabyte."""
    if isinstance(value, list):
        return "a list of other things" if any(not isinstance(item, str) for item in value) else "a list"
    return "a mapping" if isinstance(value, dict) else "a single value"
