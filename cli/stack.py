"""``stack.yaml``: the file in which people list their functions, read into specs. All its problems are told at once.

A function whose ``lang`` is a Python 3 template and whose ``handler`` is a folder with a ``handler.py`` runs from that
folder, without a container build. Paths in the file are relative to the file.
"""

from __future__ import annotations

import difflib
import fnmatch
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from springtide.cli import environment_files, yaml_text
from springtide.provider.spec import FunctionSpec, spec_from_json, spec_to_json
from springtide.runtime.errors import BadInput
from springtide.scaler.core.vocabulary import DEFAULT_NAMESPACE, FunctionRef

HANDLER = "com.springtide.handler"
"""Annotation: the absolute folder of a handler."""
LANG = "com.springtide.lang"
"""Annotation beside it: the template the handler was written for, which decides how it is called."""
PYTHON_IMAGE, PROCESS_IMAGE = "springtide/python", "springtide/process"
"""Written where a function names no image: the wire asks for one, processes need none."""

_PYTHON3 = re.compile(r"python3(?:[-.].*)?")
_ROOT_KEYS = ("version", "provider", "functions", "configuration")
_PROVIDER_KEYS = ("name", "gateway")
_CONFIGURATION_KEYS = ("templates", "copy")
_FUNCTION_KEYS = (
    "lang",
    "handler",
    "image",
    "fprocess",
    "environment",
    "environment_file",
    "secrets",
    "skip_build",
    "constraints",
    "labels",
    "annotations",
    "limits",
    "requests",
    "readonly_root_filesystem",
    "build_options",
    "build_args",
    "build_secrets",
    "platforms",
    "namespace",
)
_RESOURCE_KEYS = ("memory", "cpu", "nvidia.com/gpu", "amd.com/gpu", "intel.com/gpu")


@dataclass(frozen=True, slots=True)
class Stack:
    """What a stack file says; ``warnings`` are sentences for a person."""

    gateway: str | None
    functions: tuple[FunctionSpec, ...]
    warnings: tuple[str, ...] = ()

    def named(self, name: str) -> FunctionSpec:
        for spec in self.functions:
            if spec.ref.name == name:
                return spec
        raise BadInput(f"no function {name} in the stack file; there are {self._names()}")

    def matching(self, *, wildcard: str | None = None, regex: str | None = None) -> tuple[FunctionSpec, ...]:
        """The functions whose names match; all without a pattern. Raises BadInput when none does."""
        if wildcard and regex:
            raise BadInput("--filter and --regex exclude each other; give one")
        try:
            pattern = re.compile(regex or fnmatch.translate(wildcard or "*"))
        except re.error as error:
            raise BadInput(f"--regex {regex!r}: {error}") from error
        chosen = tuple(spec for spec in self.functions if pattern.match(spec.ref.name))
        if not chosen and self.functions:
            raise BadInput(f"no function matches {wildcard or regex!r}; there are {self._names()}")
        return chosen

    def _names(self) -> str:
        return ", ".join(spec.ref.name for spec in self.functions)


@dataclass(frozen=True, slots=True, kw_only=True)
class Overrides:
    """What the command line adds to each function of a file: variables on top, and the namespace where it has none."""

    environment: Mapping[str, str]
    namespace: str | None = None


NOTHING = Overrides(environment={})


def read(path: Path, variables: Mapping[str, str], overrides: Overrides = NOTHING) -> Stack:
    """Parse a stack file; ``variables`` fill in ``${VAR}``. Raises BadInput with every problem, one a line."""
    text, unset = yaml_text.substitute(_text_of(path), variables)
    reader = _Reader(path.absolute().parent, overrides)
    reader.warnings += [f"${{{name}}} is not set and has no default; it was left empty" for name in unset]
    root = reader.mapping(yaml_text.load(text, str(path)), "the file")
    reader.known(root, _ROOT_KEYS, "")
    provider = reader.mapping(root.get("provider"), "provider")
    reader.known(provider, _PROVIDER_KEYS, "provider.")
    reader.known(reader.mapping(root.get("configuration"), "configuration"), _CONFIGURATION_KEYS, "configuration.")
    functions = reader.mapping(root.get("functions"), "functions")
    if not functions:
        reader.problems.append("functions: missing; list at least one function under it")
    specs = [reader.function(name, value) for name, value in functions.items()]
    if reader.problems:
        raise BadInput("\n".join(f"{path}: {problem}" for problem in reader.problems))
    gateway = reader.text(provider, "gateway", "provider.")
    return Stack(
        gateway=gateway or None,
        functions=tuple(spec for spec in specs if spec is not None),
        warnings=tuple(f"{path}: {warning}" for warning in reader.warnings),
    )


def single(name: str, value: Mapping[str, Any], overrides: Overrides = NOTHING) -> FunctionSpec:
    """One function by the keys of a stack file; paths are relative to the current folder."""
    reader = _Reader(Path.cwd(), overrides)
    spec = reader.function(name, dict(value))
    if spec is None or reader.problems:
        raise BadInput("\n".join(problem.removeprefix(f"functions.{name}")[1:].strip() for problem in reader.problems))
    return spec


class _Reader:
    """Reads parts of a file and keeps what is wrong with them, each with its key and a remedy."""

    def __init__(self, folder: Path, overrides: Overrides) -> None:
        self._folder = folder
        self._overrides = overrides
        self.problems: list[str] = []
        self.warnings: list[str] = []

    def function(self, name: str, value: object) -> FunctionSpec | None:
        """The spec of one entry of ``functions``; None when it has problems."""
        where, before = f"functions.{name}.", len(self.problems)
        entry = self.mapping(value, where[:-1])
        self.known(entry, _FUNCTION_KEYS, where)
        image, handler = self._runs(entry, where)
        annotations = self.strings(entry, "annotations", where) | self._handler_annotations(entry, handler, where)
        spec = FunctionSpec(
            ref=FunctionRef(self.text(entry, "namespace", where) or self._namespace(), name),
            image=image,
            env_process=self.text(entry, "fprocess", where),
            env_vars=self._environment(entry, where),
            constraints=self.texts(entry, "constraints", where),
            secrets=self.texts(entry, "secrets", where),
            labels=self.strings(entry, "labels", where),
            annotations=annotations,
            limits=self._resources(entry, "limits", where),
            requests=self._resources(entry, "requests", where),
            read_only_root_filesystem=self.flag(entry, "readonly_root_filesystem", where),
        )
        try:
            spec_from_json(spec_to_json(spec) | {"image": image or "said already"}, deploying=True)
        except BadInput as error:
            self.problems += [f"{where[:-1]}: {problem}" for problem in str(error).splitlines()]
        return spec if len(self.problems) == before else None

    def _namespace(self) -> str:
        return self._overrides.namespace or DEFAULT_NAMESPACE

    def _runs(self, entry: Mapping[str, Any], where: str) -> tuple[str, Path | None]:
        """The image, and the folder of the Python handler if it runs from one."""
        image, fprocess = self.text(entry, "image", where), self.text(entry, "fprocess", where)
        lang, handler = self.text(entry, "lang", where), self.text(entry, "handler", where)
        if handler and not fprocess and (not lang or _PYTHON3.fullmatch(lang)):
            folder = (self._folder / handler).resolve()
            if (folder / "handler.py").is_file():
                return image or PYTHON_IMAGE, folder
            missing = f"{where}handler: {folder} holds no handler.py"
            if not image:
                self.problems.append(f"{missing}; correct the path, or give an image")
                return "", None
            self.warnings.append(f"{missing}; only the image can run")
        if not image and not fprocess:
            remedy = "give an image, an fprocess, or a python3 lang with a handler folder"
            self.problems.append(f"{where}image: missing; {remedy}")
        return image or (PROCESS_IMAGE if fprocess else ""), None

    def _handler_annotations(self, entry: Mapping[str, Any], handler: Path | None, where: str) -> dict[str, str]:
        lang = self.text(entry, "lang", where)
        if handler is None:
            return {}
        return {HANDLER: str(handler)} | ({LANG: lang} if lang else {})

    def _environment(self, entry: Mapping[str, Any], where: str) -> dict[str, str]:
        """environment_file, then environment, then the command line."""
        merged: dict[str, str] = {}
        for name in self.texts(entry, "environment_file", where):
            try:
                merged |= environment_files.read(_text_of(self._folder / name), name)
            except BadInput as error:
                self.problems += [f"{where}environment_file: {problem}" for problem in str(error).splitlines()]
        return merged | self.strings(entry, "environment", where) | dict(self._overrides.environment)

    def _resources(self, entry: Mapping[str, Any], key: str, where: str) -> dict[str, str]:
        resources = self.strings(entry, key, where)
        self.known(resources, _RESOURCE_KEYS, f"{where}{key}.")
        return {name: amount for name, amount in resources.items() if amount}

    def known(self, value: Mapping[str, Any], keys: Sequence[str], where: str) -> None:
        """Warn of keys nobody reads."""
        for key in value:
            if key not in keys:
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
                self.problems.append(f"{where}{key}.{name}: must be a single value, not {_kind(item)}")
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
        if value not in ("", "true", "false"):
            self.problems.append(f"{where}{key}: {value!r} is neither true nor false")
        return value == "true"


def _kind(value: object) -> str:
    """In place of the content, which may be a secret, or a megabyte."""
    if isinstance(value, list):
        return "a list of other things" if any(not isinstance(item, str) for item in value) else "a list"
    return "a mapping" if isinstance(value, dict) else "a single value"


def _text_of(path: Path) -> str:
    try:
        with path.open() as file:
            return file.read(yaml_text.MAX_CHARS + 1)  # too long, and refused as such; a device has no end
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise BadInput(f"{path}: not a text file") from error
