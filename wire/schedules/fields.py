"""The five fields of a schedule, by the grammar of robfig/cron v3, which OpenFaaS's connector reads them with.

A field is a list of items, with commas between them: ``*`` or ``?``, a value, or a range, each with a ``/STEP`` or
without one. ``5/15`` is ``5-59/15``. Where both days are given, of the month and of the week, either matches, unless
one of the two is ``*``. Of our own is only that 7 is Sunday.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

MAX_SHOWN = 40
"""Characters of a wrong field that its problem repeats."""
MAX_STEP = 9999
EVERY = "*"
STARS = ("*", "?")
SUNDAY = 7


@dataclass(frozen=True, slots=True)
class FieldRule:
    """``high`` is the last value; ``also`` one more that may be written."""

    name: str
    low: int
    high: int
    names: Mapping[str, int] = field(default_factory=dict)
    also: int | None = None

    @property
    def allowed(self) -> str:
        words = f" or {', '.join(self.names)}" if self.names else ""
        return f"{self.low}-{self.high}{words}"


def _numbered(words: str, first: int) -> dict[str, int]:
    return {word: number for number, word in enumerate(words.split(), first)}


MINUTE = FieldRule("minute", 0, 59)
HOUR = FieldRule("hour", 0, 23)
DAY_OF_MONTH = FieldRule("day of the month", 1, 31)
MONTH = FieldRule("month", 1, 12, _numbered("JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC", 1))
DAY_OF_WEEK = FieldRule("day of the week", 0, 6, _numbered("SUN MON TUE WED THU FRI SAT", 0), also=SUNDAY)
RULES = (MINUTE, HOUR, DAY_OF_MONTH, MONTH, DAY_OF_WEEK)


def canonical(text: str, rule: FieldRule) -> str:
    """The values that ``text`` names, as numbers in order with commas between them, or ``*`` where a star does.

    A star with a step of more than one is no star to the rule of days, as robfig has it. Raises ValueError that names
    the field, what is wrong and what may be written.
    """
    values: set[int] = set()
    star = False
    for item in text.split(","):
        if not item:
            raise _wrong(text, rule, "has nothing between two commas, or beside one")
        named, by_star = _item(item, text, rule)
        values |= named
        star = star or by_star
    return EVERY if star else ",".join(map(str, sorted(values)))


def _item(item: str, text: str, rule: FieldRule) -> tuple[set[int], bool]:
    span, slash, step_text = item.partition("/")
    step = _step(step_text, text, rule) if slash else 1
    if span in STARS:
        return set(range(rule.low, rule.high + 1, step)), step == 1
    first_text, dash, last_text = span.partition("-")
    first = _value(first_text, text, rule)
    if dash:
        last = _value(last_text, text, rule)
    elif slash:
        first, last = first % SUNDAY if rule.also else first, rule.high
    else:
        last = first
    if first > last:
        raise _wrong(text, rule, f"begins at {first_text}, after its end {last_text}; write two ranges, with a comma")
    return {value % SUNDAY if rule.also else value for value in range(first, last + 1, step)}, False


def _step(step_text: str, text: str, rule: FieldRule) -> int:
    if not _is_number(step_text) or int(step_text) == 0:
        raise _wrong(text, rule, f"has the step {step_text[:MAX_SHOWN]!r}; write a number from 1 to {MAX_STEP}, as */5")
    return int(step_text)


def _value(value: str, text: str, rule: FieldRule) -> int:
    named = rule.names.get(value.upper()) if value.isascii() else None  # a long s is an S in capitals, too
    if named is not None:
        return named
    if not _is_number(value):
        raise _wrong(text, rule, f"has {value[:MAX_SHOWN]!r}, which is no value; write {rule.allowed}, or * for all")
    number = int(value)
    if not rule.low <= number <= rule.high and number != rule.also:
        raise _wrong(text, rule, f"has {number}; it goes from {rule.low} to {rule.high}")
    return number


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= len(str(MAX_STEP))


def _wrong(text: str, rule: FieldRule, what: str) -> ValueError:
    return ValueError(f"the {rule.name} {text[:MAX_SHOWN]!r} {what}")
