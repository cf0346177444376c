"""YAML as stack files use it: values are the text that was written, ``${VAR}`` filled in once they are read.

Text, because labels and environment variables are text: ``1.0``, ``0755`` and ``yes`` must arrive as they stand.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import yaml

from springtide.cli.hidden_forms import MAX_FORMS, HiddenForms, TooManyFormsError
from springtide.cli.yaml_problems import KeyTwiceError, place_and_remedy
from springtide.runtime.errors import BadInput

MAX_CHARS = 1_000_000
MAX_VALUES = 50_000
MAX_DEPTH = 50
_HALF = re.compile("[\ud800-\udfff]")
_NULL = "tag:yaml.org,2002:null"
_KEPT_TAGS = (_NULL, "tag:yaml.org,2002:merge")

Fill = Callable[[str, int], str]
"""Fills in the variables of one key or value, which is in the line of that number."""


def load(text: str, source: str, fill: Fill | None = None) -> Any:
    """The document as mappings, lists, strings and None. Raises BadInput naming ``source`` and the place.

    What ``fill`` makes of a key or a value is text, whatever it looks like; without quotes, nothing is null.
    """
    try:
        forms = HiddenForms(text if fill else "")
        readable = forms.text if fill else text
        check_bounds(readable)
        loader = _TextLoader(readable)
        try:
            node = _only_document(loader, source)
            if node is not None and fill:
                _fill_in(node, lambda value, line: fill(forms.restore(value), line))
            return None if node is None else loader.construct_document(node)
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        raise BadInput(f"{source}: not YAML: {place_and_remedy(error, text)}") from error
    except TooManyFormsError as error:
        raise BadInput(f"{source}: it has more than {MAX_FORMS} ${{…}}; split the file") from error


def _only_document(loader: _TextLoader, source: str) -> yaml.Node | None:
    """Empty ones after it are nothing. Raises BadInput for a second one."""
    first: yaml.Node | None = loader.get_node() if loader.check_node() else None
    while loader.check_node():
        line = loader.peek_event().start_mark.line + 1  # type: ignore[no-untyped-call]
        other = loader.get_node()
        if other is not None and not (isinstance(other, yaml.ScalarNode) and not other.value and not other.style):
            told = f"a stack file is one document; a second begins at line {line}: put it in a file of its own"
            raise BadInput(f"{source}: {told}")
    return first


def _fill_in(root: yaml.Node, fill: Fill) -> None:
    nodes, seen = [root], {id(root)}
    while nodes:
        node = nodes.pop()
        if isinstance(node, yaml.ScalarNode):
            filled = fill(node.value, node.start_mark.line + 1)
            if not filled and node.value and node.style is None:
                node.tag = _NULL
            node.value = filled
            continue
        pairs = node.value if isinstance(node, yaml.MappingNode) else [node.value]
        within = [child for pair in reversed(pairs) for child in reversed(pair) if id(child) not in seen]
        seen.update(map(id, within))
        nodes += within


def check_bounds(text: str) -> None:
    """Raises yaml.YAMLError for what would take the machine's memory to build, or more levels than Python has.

    An alias stands for all that its anchor holds: nine lines of nine aliases each are half a billion values. And the
    library builds nested values by nested calls.
    """
    if len(text) > MAX_CHARS:
        raise yaml.YAMLError(f"it has more than {MAX_CHARS} characters")
    bounds = _Bounds()
    for event in yaml.parse(text, yaml.SafeLoader):
        bounds.see(event)


class _Bounds:
    """What was seen of a document, counted."""

    def __init__(self) -> None:
        self._values = 0
        self._anchored: dict[str | None, int] = {}
        self._open: list[tuple[str | None, int]] = []  # the anchor of each level, and how many values came before it

    def see(self, event: yaml.Event) -> None:
        """Raises yaml.YAMLError at the first event out of bounds."""
        if isinstance(event, yaml.CollectionEndEvent):
            anchor, before = self._open.pop()
            self._anchored[anchor] = self._values - before
        elif isinstance(event, yaml.AliasEvent):
            if event.anchor not in self._anchored:
                raise _out_of_bounds("an alias, *…, stands for nothing that is whole before it", event)
            self._count(self._anchored[event.anchor], event)
        elif isinstance(event, yaml.ScalarEvent):
            if _HALF.search(event.value):
                raise _out_of_bounds("a text is not Unicode: it has half of a surrogate pair", event)
            self._count(1, event)
            self._anchored[event.anchor] = 1
        elif isinstance(event, yaml.CollectionStartEvent):
            self._anchored.pop(event.anchor, None)
            self._open.append((event.anchor, self._values))
            if len(self._open) > MAX_DEPTH:
                raise _out_of_bounds(f"it is nested more than {MAX_DEPTH} levels deep", event)
            self._count(1, event)

    def _count(self, values: int, event: yaml.Event) -> None:
        self._values += values
        if self._values > MAX_VALUES:
            raise _out_of_bounds(f"it has more than {MAX_VALUES} values, aliases followed", event)


def _out_of_bounds(problem: str, event: yaml.Event) -> yaml.YAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=event.start_mark)  # type: ignore[arg-type]  # another mark of the same kind


class _TextLoader(yaml.SafeLoader):
    """A safe loader that leaves scalars as text, but for null, and refuses a key that is written twice."""


_TextLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag in _KEPT_TAGS]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _as_written(loader: _TextLoader, node: yaml.ScalarNode) -> Any:
    return loader.construct_scalar(node)


def _mapping(loader: _TextLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    written: set[Any] = set()
    for key, _ in node.value:
        if key.tag == "tag:yaml.org,2002:merge":
            continue
        if not isinstance(key, yaml.ScalarNode):
            raise yaml.constructor.ConstructorError(None, None, "a key must be text", key.start_mark)
        if key.value in written:
            raise KeyTwiceError(None, None, f"{key.value[:100]!r} is written twice", key.start_mark)
        written.add(key.value)
    loader.flatten_mapping(node)
    return loader.construct_mapping(node, deep=True)


_TextLoader.add_constructor("tag:yaml.org,2002:map", _mapping)
for _kind in ("int", "float", "bool", "timestamp", "binary"):
    _TextLoader.add_constructor(f"tag:yaml.org,2002:{_kind}", _as_written)
