"""``stack.yaml``: the file in which people list their functions, read into specs. All its problems are told at once.

A function whose ``lang`` is a template that runs here and whose ``handler`` is a folder with a handler for it runs from
that folder, without a container build. Paths in the file are relative to the file.
"""

from __future__ import annotations

import contextlib
import fnmatch
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from springtide.cli import environment_files, stack_shape, stack_source, yaml_text
from springtide.cli.stack_fields import StackFields
from springtide.cli.stack_shape import CONFIGURATION_KEYS, FUNCTION_KEYS, PROVIDER_KEYS, RESOURCE_KEYS, ROOT_KEYS
from springtide.cli.stack_source import Source
from springtide.cli.substitution import Substitution
from springtide.provider import annotation_values
from springtide.provider.process import templates
from springtide.provider.spec import PROCESS_IMAGE, PYTHON_IMAGE, FunctionSpec, spec_from_json, spec_to_json
from springtide.runtime.errors import BadInput
from springtide.scaler.core import label_names
from springtide.scaler.core.label_names import HANDLER, LANG
from springtide.scaler.core.vocabulary import DEFAULT_NAMESPACE, FunctionRef
from springtide.wire.schedules.annotations import CRON_TOPIC, SCHEDULE, TOPIC

MAX_REMARKS = 50
"""About variables of one file."""
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
    fields = reader.fields
    with reader.of_file(source.name):
        root = fields.mapping(reader.load(source, variables), "the file")
        provider = fields.mapping(root.get("provider"), "provider")
        fields.known(provider, PROVIDER_KEYS, "provider.")
        fields.known(fields.mapping(root.get("configuration"), "configuration"), CONFIGURATION_KEYS, "configuration.")
        gateway = fields.text(provider, "gateway", "provider.")
        spare = stack_shape.for_reuse(source.text)
        functions = reader.functions({key: value for key, value in root.items() if key not in spare - {*ROOT_KEYS}})
        if fields.problems:
            for name, value in functions.items():  # so that all is told at once
                reader.function(name, value)
    entries = tuple(reader.entry(name, value, source.name) for name, value in functions.items())
    return Stack(gateway or None, entries, tuple(f"{source.name}: {warning}" for warning in fields.warnings))


def single(name: str, value: Mapping[str, Any], overrides: Overrides = NOTHING) -> Entry:
    """One function by the keys of a stack file; paths are relative to the current folder. Raises BadInput."""
    reader = _Reader(Path.cwd(), overrides)
    fields = reader.fields
    spec, where = reader.function(name, dict(value)), f"functions.{name}"
    if spec is None or fields.problems:
        raise BadInput("\n".join(problem.removeprefix(where)[1:].strip() for problem in fields.problems))
    return Entry(spec.ref, spec, warnings=tuple(warning.removeprefix(f"{where}.") for warning in fields.warnings))


class _Reader:
    """Reads the functions of a file; what is wrong with them is kept by ``fields``."""

    def __init__(self, folder: Path, overrides: Overrides) -> None:
        self._folder = folder
        self._overrides = overrides
        self.fields = StackFields()

    @contextlib.contextmanager
    def of_file(self, name: str) -> Iterator[None]:
        """Raises BadInput with the problems found within, as those of the file."""
        try:
            yield
        except BadInput as error:
            raise BadInput(str(error) if str(error).startswith(name) else f"{name}: {error}") from error
        if self.fields.problems:
            raise BadInput("\n".join(f"{name}: {problem}" for problem in self.fields.problems))

    def load(self, source: Source, variables: Mapping[str, str] | None) -> Any:
        """The document with its variables filled in."""
        if variables is None:
            return yaml_text.load(source.text, source.name)
        substitution, remarks = Substitution(variables), list[str]()

        def fill(text: str, line: int) -> str:
            filled = substitution.fill(text)
            self.fields.problems += [f"line {line}: {demand}" for demand in substitution.demanded]
            remarks.extend(
                f"line {line}: {left}… is no form of a variable and was left as it is; write $${left[1:]} to mean that"
                for left in substitution.left
            )
            return filled

        root = yaml_text.load(source.text, source.name, fill)
        remarks += [f"${{{name}}} is not set and has no default; it was left empty" for name in substitution.unset]
        self.fields.warnings += remarks[:MAX_REMARKS]
        if len(remarks) > MAX_REMARKS:
            self.fields.warnings.append(f"{len(remarks) - MAX_REMARKS} more variables are not set, or no form of one")
        return root

    def functions(self, root: Mapping[str, Any]) -> dict[str, Any]:
        """The entries of ``functions``; keys that stand a level off are problems, their consequences are not."""
        misplaced = stack_shape.misplaced_in_root(root)
        self.fields.problems += [f"{key}: {remedy}" for key, remedy in misplaced.items()]
        self.fields.known({key: value for key, value in root.items() if key not in misplaced}, ROOT_KEYS, "")
        functions, problems = stack_shape.with_keys_in_place(self.fields.mapping(root.get("functions"), "functions"))
        self.fields.problems += problems
        if not functions and not self.fields.problems:
            self.fields.problems.append("functions: missing; list at least one function under it")
        return functions

    def entry(self, name: str, value: object, file: str) -> Entry:
        """One function with its own problems."""
        self.fields.problems = []
        spec = self.function(name, value)
        written = value.get("namespace") if isinstance(value, dict) else None
        ref = FunctionRef(self._namespace(written if isinstance(written, str) else ""), name)
        return Entry(spec.ref if spec else ref, spec, tuple(f"{file}: {problem}" for problem in self.fields.problems))

    def function(self, name: str, value: object) -> FunctionSpec | None:
        """The spec of one entry of ``functions``; None when it has problems."""
        fields = self.fields
        where, before = f"functions.{name}.", len(fields.problems)
        entry = fields.mapping(value, where[:-1])
        fields.known(entry, FUNCTION_KEYS, where)
        image, handler = self._runs(entry, where)
        asked = self._overrides
        annotations = _scheduled(fields.text(entry, "schedule", where)) | fields.strings(entry, "annotations", where)
        annotations |= dict(asked.annotations)
        spec = FunctionSpec(
            ref=FunctionRef(self._namespace(fields.text(entry, "namespace", where)), name),
            image=image,
            env_process=fields.text(entry, "fprocess", where),
            env_vars=self._environment(entry, where),
            constraints=_with(fields.texts(entry, "constraints", where), asked.constraints),
            secrets=_with(fields.texts(entry, "secrets", where), asked.secrets),
            labels=fields.strings(entry, "labels", where) | dict(asked.labels),
            annotations=annotations | self._handler_annotations(entry, handler, where),
            limits=self._resources(entry, "limits", where) | dict(asked.limits),
            requests=self._resources(entry, "requests", where) | dict(asked.requests),
            read_only_root_filesystem=fields.flag(entry, "readonly_root_filesystem", where) or asked.read_only,
        )
        try:
            spec_from_json(spec_to_json(spec) | {"image": image or "said already"}, deploying=True)
        except BadInput as error:
            fields.problems += [f"{where[:-1]}: {problem}" for problem in str(error).splitlines()]
        fields.warnings += [f"{where}labels.{note}" for note in label_names.without_effect_anywhere(spec.labels)]
        fields.warnings += [f"{where}annotations.{note}" for note in annotation_values.misspelt(spec.annotations)]
        return spec if len(fields.problems) == before else None

    def _namespace(self, written: str) -> str:
        return self._overrides.namespace or written or self._overrides.default_namespace or DEFAULT_NAMESPACE

    def _runs(self, entry: Mapping[str, Any], where: str) -> tuple[str, Path | None]:
        """The image, and the folder of the handler if it runs from one."""
        image, fprocess = self.fields.text(entry, "image", where), self.fields.text(entry, "fprocess", where)
        lang, handler = self.fields.text(entry, "lang", where), self.fields.text(entry, "handler", where)
        template = _template(lang)
        if handler and not fprocess and template is not None:
            folder = (self._folder / handler).resolve()
            if any((folder / name).is_file() for name in template.handler):
                return image or PYTHON_IMAGE, folder
            missing = f"{where}handler: {folder} holds no {' or '.join(template.handler)}"
            if (folder / "handler.ts").is_file():
                missing += "; TypeScript is not compiled here: let tsc write handler.js beside handler.ts"
            if not image:
                self.fields.problems.append(f"{missing}; correct the path, or give an image")
                return "", None
            self.fields.warnings.append(f"{missing}; only the image can run")
        if not image and not fprocess:
            remedy = "give an image, an fprocess, or a handler folder with one of the langs " + templates.runnable()
            self.fields.problems.append(f"{where}image: missing; {remedy}")
        return image or (PROCESS_IMAGE if fprocess else ""), None

    def _handler_annotations(self, entry: Mapping[str, Any], handler: Path | None, where: str) -> dict[str, str]:
        lang = self.fields.text(entry, "lang", where)
        if handler is None:
            return {}
        return {HANDLER: str(handler)} | ({LANG: lang} if lang else {})

    def _environment(self, entry: Mapping[str, Any], where: str) -> dict[str, str]:
        """environment, then the files in their order, then the command line: the later wins, as with faas-cli."""
        merged = self.fields.strings(entry, "environment", where)
        for name in self.fields.texts(entry, "environment_file", where):
            try:
                found = environment_files.read(stack_source.text_of(self._folder / name), name)
                merged |= found
                if not found:
                    self.fields.warnings.append(
                        f"{where}environment_file: {name}: no variables; {environment_files.REMEDY}"
                    )
            except BadInput as error:
                self.fields.problems += [f"{where}environment_file: {problem}" for problem in str(error).splitlines()]
        return merged | dict(self._overrides.environment)

    def _resources(self, entry: Mapping[str, Any], key: str, where: str) -> dict[str, str]:
        resources = self.fields.strings(entry, key, where)
        self.fields.known(resources, RESOURCE_KEYS, f"{where}{key}.")
        return {name: amount for name, amount in resources.items() if amount}


def _with(given: Sequence[str], more: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*given, *more)))


def _scheduled(schedule: str) -> dict[str, str]:
    """The annotations that a function's ``schedule`` is short for."""
    return {TOPIC: CRON_TOPIC, SCHEDULE: schedule} if schedule else {}


def _template(lang: str) -> templates.Template | None:
    """What a handler of this template runs as; Python templates of somebody's own as Python handlers do."""
    return templates.of_handler(lang) if not lang or _PYTHON3.fullmatch(lang) else templates.known(lang)
