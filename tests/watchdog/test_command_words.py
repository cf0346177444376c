"""How a command is cut into words: as OpenFaaS's watchdogs do it, but for quotes."""

from __future__ import annotations

import shlex
import time

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from springtide.watchdog import command_words, config


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param(r"sed s/\s//g", ["sed", r"s/\s//g"], id="backslashes survive"),
        pytest.param('echo {"a":1}', ["echo", '{"a":1}'], id="quotes within a word survive"),
        pytest.param('echo {"a": "b c"}', ["echo", '{"a":', "b c}"], id="quotes that begin a word"),
        pytest.param("echo it's", ["echo", "it's"], id="an apostrophe"),
        pytest.param("echo it's Tom's", ["echo", "it's", "Tom's"], id="two apostrophes"),
        pytest.param("sh -c 'a b' \"c d\"", ["sh", "-c", "a b", "c d"], id="quoted words"),
        pytest.param("sh -c 'it'\\''s' x", ["sh", "-c", "it's", "x"], id="a shell's quote within quotes"),
        pytest.param(r'sh -c "echo \"\$x\" \\ \n"', ["sh", "-c", 'echo "\\$x" \\ \\n'], id="escapes in double quotes"),
        pytest.param(r"grep 'a\sb'", ["grep", r"a\sb"], id="no escapes in single quotes"),
        pytest.param("x '' \"\"", ["x", "", ""], id="empty words"),
        pytest.param("x 'a'b\"c d\"", ["x", "abc d"], id="a word of several parts"),
        pytest.param("x --title='a b' c", ["x", "--title=a b", "c"], id="a quoted value with blanks"),
        pytest.param("x --title='a' --t='b c'd", ["x", "--title='a'", "--t='b", "c'd"], id="other quoted values"),
        pytest.param("x a=b='c d'", ["x", "a=b='c", "d'"], id="the first equals sign"),
        pytest.param(r"x a\ b C:\dir", ["x", "a\\", "b", "C:\\dir"], id="a backslash before a blank"),
        pytest.param("  a \t b\n  c\n", ["a", "b", "c"], id="blanks of all kinds"),
        pytest.param("# a", ["#", "a"], id="no comments"),
        pytest.param("", [], id="nothing"),
    ],
)
def test_command_is_cut_into_words(text: str, words: list[str]) -> None:
    assert command_words.split(text) == tuple(words)


@given(st.lists(st.text("ab'\"\\={}$ \n", max_size=6), max_size=5))
def test_what_a_shell_needs_quoted_arrives_when_it_is_quoted(words: list[str]) -> None:
    assert command_words.split(shlex.join(words)) == tuple(words)


@given(st.lists(st.text("ab'\"\\=/", min_size=1, max_size=6).map(lambda word: "x" + word), max_size=5))
def test_words_without_blanks_and_leading_quotes_are_what_openfaas_makes_of_them(words: list[str]) -> None:
    text = " ".join(words)
    assume("='" not in text and '="' not in text)

    assert command_words.split(text) == tuple(word for word in text.split(" ") if word)


@pytest.mark.parametrize("text", ["sh -c 'open", 'sh -c "open', "sh -c 'a'\"b", 'sh -c "a\\"', "sh -c '"])
def test_quote_that_is_not_closed_is_the_only_problem_and_shows_nothing_of_the_command(text: str) -> None:
    (problem,) = config.read({"fprocess": text})[1]

    assert problem.startswith("fprocess: word 3 begins with a quote, and a quote in it is not closed; close it")
    assert "open" not in problem


@pytest.mark.parametrize("text", ['x a="' + "b " * 60_000, "x a='" + " " * 120_000, 'x a="' + '\\" ' * 40_000])
def test_long_command_with_an_open_quote_is_read_soon(text: str) -> None:
    """In processor time, and generous: by trying every blank it takes minutes."""
    started = time.process_time()

    command_words.split(text)

    assert time.process_time() - started < 10
