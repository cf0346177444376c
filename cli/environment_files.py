"""Files of variables that a stack file names as ``environment_file``: passwords, more often than not.

What is wrong with one is told by its line and never by its content.
"""

from __future__ import annotations

from collections.abc import Iterator

import yaml

from springtide.cli import yaml_text
from springtide.runtime.errors import BadInput

REMEDY = "write 'environment:' and below it 'KEY: value', each in a line of its own"


def read(text: str, name: str) -> dict[str, str]:
    """The variables. Raises BadInput naming the file and every line that is wrong, one a line."""
    try:
        yaml_text.check_bounds(text)
        root = yaml.compose(text, yaml.SafeLoader)
    except yaml.YAMLError as error:
        second = getattr(error, "context", None) == "expected a single document in the stream"
        what = "a second document; such a file is one" if second else "not YAML"
        raise BadInput(f"{name}{_line(error)}: {what}; {REMEDY}") from None  # its words quote the file
    problems = [f"{name}, line {node.start_mark.line + 1}: {what}; {REMEDY}" for node, what in _wrong(root)]
    if problems:
        raise BadInput("\n".join(problems))
    try:
        value = yaml_text.load(text, name) or {}
    except BadInput as error:
        raise BadInput(f"{name}{_line(error.__cause__)}: a key is written twice, or a value has a tag") from None
    return {key: item or "" for key, item in (value.get("environment") or {}).items()}


def _wrong(root: yaml.Node | None) -> Iterator[tuple[yaml.Node, str]]:
    if root is None or _is_null(root):
        return
    if not isinstance(root, yaml.MappingNode):
        yield root, "not a mapping of keys to values"
        return
    for key, value in root.value:
        if key.value == "environment" and not _is_null(value):
            yield from _wrong_variables(value)


def _wrong_variables(node: yaml.Node) -> Iterator[tuple[yaml.Node, str]]:
    if not isinstance(node, yaml.MappingNode):
        yield node, "not a mapping of keys to values"
        return
    for key, value in node.value:
        if key.tag == "tag:yaml.org,2002:merge":
            continue
        if not isinstance(key, yaml.ScalarNode) or not isinstance(value, yaml.ScalarNode):
            yield key, "not a key with a single value"


def _is_null(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null"


def _line(error: BaseException | None) -> str:
    mark = getattr(error, "problem_mark", None)
    return "" if mark is None else f", line {mark.line + 1}"
