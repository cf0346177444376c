"""``${VAR}`` and its forms, by what their documentation says of them."""

from __future__ import annotations

import fnmatch
import re
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from springtide.cli.substitution import MAX_FILLED_CHARS, MAX_NESTING, Substitution
from springtide.runtime.errors import BadInput

VARIABLES = {
    "SET": "word",
    "EMPTY": "",
    "MIXED": "abcABC123ABCabc",
    "FILE": "/path/to.a/file.tar.gz",
    "SLASHES": "foo/bar/baz",
    "FORM": "${SET}",
}


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        pytest.param("${SET}", "word", id="value"),
        pytest.param("a${SET}${SET}b", "awordwordb", id="two in a row"),
        pytest.param("${UNSET:-d}|${EMPTY:-d}|${SET:-d}", "d|d|word", id="default for unset and empty"),
        pytest.param("${UNSET:=d}|${EMPTY:=d}|${SET:=d}", "d|d|word", id="the same with an equals sign"),
        pytest.param("${UNSET-d}|${EMPTY-d}|${SET-d}", "d||word", id="default for unset"),
        pytest.param("${UNSET=d}|${EMPTY=d}|${SET=d}", "d||word", id="default for unset with an equals sign"),
        pytest.param("${UNSET:+a}|${EMPTY:+a}|${SET:+a}", "||a", id="word for a value"),
        pytest.param("${UNSET+a}|${EMPTY+a}|${SET+a}", "|a|a", id="word for what is set"),
        pytest.param("${UNSET:-http://x:80/y?a=b#c}", "http://x:80/y?a=b#c", id="default with all kinds of characters"),
        pytest.param(r"${UNSET:-C:\dir\}", "C:\\dir\\", id="default with backslashes"),
        pytest.param("${UNSET:-}", "", id="empty default"),
        pytest.param("${UNSET:-${NONE:-inner}}", "inner", id="nested default"),
        pytest.param("${UNSET:-a${SET}b${NONE-c}}d", "awordbcd", id="nested in the middle"),
        pytest.param("${UNSET:-${SET^^}}", "WORD", id="another form as default"),
        pytest.param("${#MIXED}", "15", id="length"),
        pytest.param("${SET^}|${SET^^}|${MIXED,}|${MIXED,,}", "Word|WORD|abcABC123ABCabc|abcabc123abcabc", id="case"),
        pytest.param("${EMPTY^}${EMPTY,,}", "", id="case of nothing"),
        pytest.param("${MIXED:3}|${MIXED:3:4}|${MIXED:99}|${MIXED:0:0}", "ABC123ABCabc|ABC1||", id="offset and length"),
        pytest.param("${MIXED: -3}|${MIXED:0:-12}", "abc|abc", id="counted from the end"),
        pytest.param("${MIXED:${#SET}}", "BC123ABCabc", id="offset by another form"),
        pytest.param("${FILE#*/}|${FILE##*/}", "path/to.a/file.tar.gz|file.tar.gz", id="off the beginning"),
        pytest.param("${FILE%.*}|${FILE%%.*}", "/path/to.a/file.tar|/path/to", id="off the end"),
        pytest.param("${FILE#none}", VARIABLES["FILE"], id="nothing that matches"),
        pytest.param("${MIXED/abc/x}|${MIXED//abc/x}", "xABC123ABCabc|xABC123ABCx", id="first and all"),
        pytest.param("${MIXED/#abc/x}|${MIXED/%abc/x}", "xABC123ABCabc|abcABC123ABCx", id="at an edge"),
        pytest.param("${MIXED/ABC/}|${MIXED/ABC}", "abc123ABCabc|abc123ABCabc", id="replaced by nothing"),
        pytest.param("${MIXED/A*3/-}|${MIXED//[a-c]/-}", "abc-ABCabc|---ABC123ABC---", id="patterns"),
        pytest.param(r"${SLASHES/\//-}|${SLASHES//\//\/\/}", "foo-bar/baz|foo//bar//baz", id="escaped slash"),
        pytest.param("${MIXED//${UNSET:-abc}/${SET}}", "wordABC123ABCword", id="both words nested"),
        pytest.param("$${SET} $$ $$$$ $", "${SET} $ $$ $", id="two dollar signs are one"),
        pytest.param("$${A=${SET}}", "${A=word}", id="only the escaped one is text"),
        pytest.param("$SET and $1", "$SET and $1", id="braces are needed"),
        pytest.param("${FORM}", "${SET}", id="what was filled in is not read again"),
        pytest.param("{a} }", "{a} }", id="braces alone"),
    ],
)
def test_form_is_filled_in(text: str, filled: str) -> None:
    substitution = Substitution(VARIABLES)

    assert substitution.fill(text) == filled
    assert substitution.left == []
    assert substitution.unset == []


@pytest.mark.parametrize(
    ("text", "begins"),
    [
        pytest.param("${1}", "${1", id="a number"),
        pytest.param("${}", "${}", id="no name"),
        pytest.param("${SET", "${SET", id="not closed"),
        pytest.param("${SET:-${A}", "${SET", id="inner closed only"),
        pytest.param("${SET!x}", "${SET", id="no operator"),
        pytest.param("${SET^x}", "${SET", id="case of a pattern"),
        pytest.param("${SET:x}", "${SET", id="an offset that is no number"),
        pytest.param("${@}", "${@", id="a shell's own"),
        pytest.param("${#}", "${#", id="length of nothing"),
        pytest.param("${a.b}", "${a", id="a dot"),
        pytest.param("${A:-" * (MAX_NESTING + 1) + "}" * (MAX_NESTING + 1), "${A", id="nested too deep"),
    ],
)
def test_what_is_no_form_is_left_and_told_by_its_beginning(text: str, begins: str) -> None:
    substitution = Substitution(VARIABLES)

    assert substitution.fill(f"x {text} y") == f"x {text} y"
    assert substitution.left == [begins]


def test_variable_that_is_unset_is_told_once_and_only_where_it_is_needed() -> None:
    substitution = Substitution(VARIABLES)

    assert substitution.fill("${A}${A^^}${#A} ${SET:-${NOT_NEEDED}} ${B:+x}") == "0 word "
    assert substitution.unset == ["A"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        pytest.param("${UNSET:?name the registry}", ["${UNSET} is not set: name the registry"], id="unset"),
        pytest.param("${EMPTY:?}", ["${EMPTY} is not set: set it"], id="empty"),
        pytest.param("${EMPTY?x}${SET:?x}", [], id="set"),
    ],
)
def test_variable_may_be_demanded(text: str, told: list[str]) -> None:
    substitution = Substitution(VARIABLES)

    substitution.fill(text)

    assert substitution.demanded == told


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("${MANY//a/${MANY}}", id="each character replaced by all"),
        pytest.param("${MANY}" * 200, id="many times"),
        pytest.param("${MANY##*b*b*b*b*b*b*b*b*c}", id="a long search"),
        pytest.param("${MANY#" + "b" * 501 + "}", id="a long pattern"),
    ],
)
def test_short_text_that_would_become_a_long_one_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match=r"characters"):
        Substitution({"MANY": "a" * (MAX_FILLED_CHARS // 99)}).fill(text)


@dataclass(frozen=True)
class Case:
    """A form and what its documentation says it becomes."""

    text: str
    filled: str


names = st.sampled_from(("A", "B_2", "_c"))
values = st.none() | st.text("aAbB1./ß", max_size=6)
literals = st.text("abAB1.-:=/#% ", max_size=4)


@st.composite
def worlds(draw: st.DrawFn) -> tuple[dict[str, str], Case]:
    variables = {name: value for name in ("A", "B_2", "_c") if (value := draw(values)) is not None}
    return variables, draw(_texts(variables, draw(st.integers(0, 3))))


@st.composite
def _texts(draw: st.DrawFn, variables: dict[str, str], depth: int) -> Case:
    parts = [Case(text, text) for text in draw(st.lists(literals, min_size=1, max_size=2))]
    parts.append(Case("$$", "$"))
    if depth:
        parts.append(draw(_forms(variables, depth - 1)))
    return Case("".join(part.text for part in parts), "".join(part.filled for part in parts))


@st.composite
def _words(draw: st.DrawFn, variables: dict[str, str], depth: int) -> Case:
    parts = [Case(text, text) for text in (draw(literals), draw(literals))]
    if depth:
        parts.insert(1, draw(_forms(variables, depth - 1)))
    return Case("".join(part.text for part in parts), "".join(part.filled for part in parts))


@st.composite
def _forms(draw: st.DrawFn, variables: dict[str, str], depth: int) -> Case:
    """One form, its meaning written down a second time."""
    name, word = draw(names), draw(_words(variables, depth))
    value = variables.get(name, "")
    kind = draw(st.sampled_from(("", "#", ":-", ":=", "-", "=", ":+", "+", "^^", ",,", "^", ",", ":", "::")))
    if kind in (":-", ":=", ":+"):
        other = word.filled if (not value) != (kind == ":+") else value if kind != ":+" else ""
        return Case(f"${{{name}{kind}{word.text}}}", other)
    if kind in ("-", "=", "+"):
        other = word.filled if (name not in variables) != (kind == "+") else value if kind != "+" else ""
        return Case(f"${{{name}{kind}{word.text}}}", other)
    if kind in (":", "::"):
        start, length = draw(st.integers(0, 8)), draw(st.integers(0, 8))
        sliced = value[start:] if kind == ":" else value[start : start + length]
        return Case(f"${{{name}:{start}" + (f":{length}}}" if kind == "::" else "}"), sliced)
    changed = {
        "": value,
        "#": str(len(value)),
        "^^": value.upper(),
        ",,": value.lower(),
        "^": value[:1].upper() + value[1:],
        ",": value[:1].lower() + value[1:],
    }[kind]
    return Case(f"${{#{name}}}" if kind == "#" else f"${{{name}{kind}}}", changed)


@given(worlds())
def test_texts_of_nested_forms_become_what_the_documentation_says(world: tuple[dict[str, str], Case]) -> None:
    variables, case = world

    assert Substitution(variables).fill(case.text) == case.filled


def matches(text: str, pattern: str) -> bool:
    return re.fullmatch(fnmatch.translate(pattern), text) is not None


@given(
    st.text("ab.-", max_size=8),
    st.text("ab.*?", min_size=1, max_size=5) | st.sampled_from(("[ab]", "[!a]*", "*[a-b].", "[.-]?")),
    st.sampled_from(("#", "##", "%", "%%", "/#", "/%", "/", "//")),
)
def test_patterns_take_off_and_replace_what_trying_all_places_finds(value: str, pattern: str, operator: str) -> None:
    whole = range(len(value) + 1)
    if operator in ("#", "##", "/#"):
        fitting = [end for end in whole if matches(value[:end], pattern)]
        chosen = (fitting or [0])[0 if operator == "#" else -1]
        wanted = value if fitting == [] else ("X" if operator == "/#" else "") + value[chosen:]
    elif operator in ("%", "%%", "/%"):
        fitting = [start for start in whole if matches(value[start:], pattern)]
        chosen = (fitting or [0])[-1 if operator == "%" else 0]
        wanted = value if fitting == [] else value[:chosen] + ("X" if operator == "/%" else "")
    else:
        wanted = replaced(value, pattern, all_of_them=operator == "//")
    form = f"${{V{operator}{pattern}/X}}" if operator[0] == "/" else f"${{V{operator}{pattern}}}"

    assert Substitution({"V": value}).fill(form) == wanted


def replaced(value: str, pattern: str, *, all_of_them: bool) -> str:
    start = 0
    while start < len(value):
        ends = [end for end in range(start + 1, len(value) + 1) if matches(value[start:end], pattern)]
        if ends:
            rest = value[ends[-1] :]
            return value[:start] + "X" + (replaced(rest, pattern, all_of_them=True) if all_of_them else rest)
        start += 1
    return value
