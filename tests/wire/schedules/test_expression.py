"""What is a schedule, what is none, and when each is due: by a table, and against whoever looks at each minute."""

from __future__ import annotations

import math
from calendar import monthrange
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from springtide.runtime.errors import BadInput
from springtide.wire.schedules.expression import DESCRIPTORS, MAX_CHARS, Kind, parse
from springtide.wire.schedules.fields import DAY_OF_MONTH, DAY_OF_WEEK, HOUR, MINUTE, MONTH, RULES, FieldRule, canonical


def at(text: str, zone: str = "UTC", *, fold: int = 0) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).timestamp()


def ticks(text: str, after: float, *, anchor: float = 0.0) -> Iterator[float]:
    schedule = parse(text)
    while True:
        after = schedule.next_after(after, anchor)
        yield after


def first(number: int, text: str, after: float, *, anchor: float = 0.0) -> list[str]:
    """In UTC, to the minute."""
    found = ticks(text, after, anchor=anchor)
    return [datetime.fromtimestamp(next(found), UTC).strftime("%Y-%m-%d %H:%M") for _ in range(number)]


@pytest.mark.parametrize(
    ("text", "rule", "values"),
    [
        pytest.param("*", MINUTE, "*", id="all"),
        pytest.param("?", DAY_OF_MONTH, "*", id="question mark is a star"),
        pytest.param("5/15", MINUTE, "5,20,35,50", id="a step after a value goes on to the end"),
        pytest.param("5-5/15", MINUTE, "5", id="a step in a range of one value"),
        pytest.param("10-20/5,3", MINUTE, "3,10,15,20", id="a range with a step in a list"),
        pytest.param("*/40", MINUTE, "0,40", id="a step that does not divide"),
        pytest.param("*/100", MINUTE, "0", id="a step beyond the end"),
        pytest.param("*/1", DAY_OF_MONTH, "*", id="a step of one leaves the star a star"),
        pytest.param("*/10", DAY_OF_MONTH, "1,11,21,31", id="a step makes the star a list"),
        pytest.param("3,*", DAY_OF_MONTH, "*", id="a star anywhere in the list"),
        pytest.param("08", HOUR, "8", id="a leading zero"),
        pytest.param("jan,Mar-MAY", MONTH, "1,3,4,5", id="names of months in any case"),
        pytest.param("mon-fri", DAY_OF_WEEK, "1,2,3,4,5", id="names of days"),
        pytest.param("7", DAY_OF_WEEK, "0", id="seven is Sunday"),
        pytest.param("5-7", DAY_OF_WEEK, "0,5,6", id="a range up to Sunday"),
        pytest.param("0-7", DAY_OF_WEEK, "0,1,2,3,4,5,6", id="Sunday twice"),
        pytest.param("1/3", DAY_OF_WEEK, "1,4", id="a step through the week ends on Saturday"),
        pytest.param("7/2", DAY_OF_WEEK, "0,2,4,6", id="seven begins the week as nought does"),
    ],
)
def test_field_names_values(text: str, rule: FieldRule, values: str) -> None:
    assert canonical(text, rule) == values


@pytest.mark.parametrize(
    ("text", "told"),
    [
        pytest.param("", "write five fields", id="nothing"),
        pytest.param("often", "has 1 field and", id="a word"),
        pytest.param("* * * *", "has 4 fields", id="four fields"),
        pytest.param("0 * * * * *", "has 6 fields", id="six fields, the first for seconds"),
        pytest.param("60 * * * *", "goes from 0 to 59", id="no such minute"),
        pytest.param("* 24 * * *", "goes from 0 to 23", id="no such hour"),
        pytest.param("* * 0 * *", "goes from 1 to 31", id="no such day"),
        pytest.param("* * * 13 *", "goes from 1 to 12", id="no such month"),
        pytest.param("* * * * 8", "goes from 0 to 6", id="no such day of the week"),
        pytest.param("* * * * FRI-MON", "write two ranges", id="a range backwards"),
        pytest.param("*/0 * * * *", "from 1 to 9999", id="no step"),
        pytest.param("*/99999 * * * *", "from 1 to 9999", id="a step that is far too long"),
        pytest.param("*/1.5 * * * *", "from 1 to 9999", id="half a step"),
        pytest.param("*/-1 * * * *", "from 1 to 9999", id="a step backwards"),
        pytest.param("1//2 * * * *", "from 1 to 9999", id="two slashes"),
        pytest.param("1-2-3 * * * *", "no value", id="two dashes"),
        pytest.param("*-5 * * * *", "no value", id="a star in a range"),
        pytest.param("1,,2 * * * *", "nothing between two commas", id="an empty item"),
        pytest.param("-1 * * * *", "no value", id="a sign"),
        pytest.param("² * * * *", "no value", id="a digit of another script"),
        pytest.param("MON * * * *", "no value", id="a name in another field"),
        pytest.param("* * L * *", "no value", id="a word of Quartz"),
        pytest.param("* * * * 1#2", "no value", id="a sign of Quartz"),
        pytest.param("0 0 30 2 *", "no year has such a day", id="the 30th of February"),
        pytest.param("0 0 31 4,6,9,11 *", "no year has such a day", id="the 31st of short months"),
        pytest.param("@reboot", "there is no @reboot", id="another descriptor"),
        pytest.param("@Daily", "there is no @Daily", id="descriptors are in small letters"),
        pytest.param("@every", "with its unit", id="every what"),
        pytest.param("@every 90", "with its unit", id="every 90 what"),
        pytest.param("@every 5 minutes", "without spaces", id="in words"),
        pytest.param("@every 1h 30m", "without spaces", id="a duration with a space"),
        pytest.param("@every 1d", "a day is 24h", id="a day"),
        pytest.param("@every 1e9h", "no duration here", id="a number as floats have it"),
        pytest.param("@every NaNs", "no duration here", id="no number"),
        pytest.param("@every infs", "no duration here", id="endless"),
        pytest.param("@every \u0661s", "no duration here", id="digits of another script"),
        pytest.param(f"@every {'9' * 200}h", "no duration here", id="longer than all time"),
        pytest.param("@every 0s", "between 1s and", id="no time at all"),
        pytest.param("@every 1ns", "between 1s and", id="a nanosecond"),
        pytest.param("@EVERY 5s", "there is no @EVERY 5s", id="every in capitals"),
        pytest.param("@every @daily", "no duration here", id="one descriptor in another"),
        pytest.param("@every 999ms", "between 1s and", id="less than a second"),
        pytest.param("@every 100000h", "between 1s and", id="longer than ten years"),
        pytest.param("@every -5m", "no duration here", id="backwards"),
        pytest.param("0 0 * * \u017fun", "no value", id="a name with a letter that is an S in capitals"),
        pytest.param("0\u200b 0 * * *", "no value", id="a space that nobody sees"),
        pytest.param("0\x00 0 * * *", "no value", id="a nul"),
        pytest.param("\ud800 0 * * *", "no value", id="half a character"),
        pytest.param("0 0 * * sat-sun", "write two ranges", id="over the end of the week"),
        pytest.param(f"1{'0' * 240} * * * *", "no value", id="a number without an end"),
        pytest.param("0 0 30-31 2 *", "no year has such a day", id="two days that February never has"),
        pytest.param("* * * * *\n* * * * *", "has 10 fields", id="two lines"),
        pytest.param("0 0 1- * *", "no value", id="a range without an end"),
        pytest.param("0 0 /5 * *", "no value", id="a step of nothing"),
        pytest.param("* * * * * 2026", "has 6 fields", id="a year"),
        pytest.param("@daily @daily", "there is no @daily @daily", id="two descriptors"),
        pytest.param("TZ=localtime @daily", "there is no zone", id="the clock of whatever machine it is"),
        pytest.param("TZ=posixrules @daily", "there is no zone", id="a file that is no zone"),
        pytest.param("TZ=right/UTC @daily", "there is no zone", id="a zone that counts leap seconds"),
        pytest.param("TZ=europe/berlin @daily", "there is no zone", id="a zone in small letters"),
        pytest.param("TZ=tzdata.zi @daily", "there is no zone", id="another file of the database"),
        pytest.param("TZ=/usr/share/zoneinfo/UTC @daily", "there is no zone", id="a file's whole path"),
        pytest.param("TZ=\x00 @daily", "there is no zone", id="a nul for a zone"),
        pytest.param("TZ=\ud800 @daily", "there is no zone", id="half a character for a zone"),
        pytest.param("CRON_TZ=UTC TZ=UTC @daily", "has 2 fields", id="two zones"),
        pytest.param("CRON_TZ=Mars/Olympus * * * * *", "there is no zone 'Mars/Olympus'", id="no such zone"),
        pytest.param("TZ=../../../etc/passwd * * * * *", "there is no zone", id="a path out of the database"),
        pytest.param("TZ=Europe * * * * *", "there is no zone", id="a folder of the database"),
        pytest.param("CRON_TZ= * * * * *", "there is no zone ''", id="no zone's name"),
        pytest.param("TZ=UTC", "has 0 fields", id="a zone alone"),
        pytest.param("* " * MAX_CHARS, "at most", id="too long"),
    ],
)
def test_what_is_no_schedule_is_refused_with_the_remedy(text: str, told: str) -> None:
    with pytest.raises(BadInput) as refusal:
        parse(text)

    assert told in str(refusal.value)
    assert len(str(refusal.value)) < 400


@pytest.mark.parametrize(
    ("text", "after", "due"),
    [
        pytest.param("* * * * *", "2026-03-01 10:00:30", ["2026-03-01 10:01", "2026-03-01 10:02"], id="each minute"),
        pytest.param("0 0 29 2 *", "2026-01-01", ["2028-02-29 00:00", "2032-02-29 00:00"], id="a leap day"),
        pytest.param("0 0 29 2 *", "2096-03-01", ["2104-02-29 00:00"], id="2100 has no leap day"),
        pytest.param("0 0 31 * *", "2026-01-31", ["2026-03-31 00:00", "2026-05-31 00:00"], id="long months only"),
        pytest.param(
            "0 0 13 * FRI", "2026-02-10", ["2026-02-13 00:00", "2026-02-20 00:00"], id="both days: either matches"
        ),
        pytest.param("0 0 ? * FRI", "2026-02-10", ["2026-02-13 00:00", "2026-02-20 00:00"], id="a star beside a day"),
        pytest.param(
            "0 0 */10 * MON",
            "2026-02-01",
            ["2026-02-02 00:00", "2026-02-09 00:00", "2026-02-11 00:00"],
            id="a star with a step is no star, as robfig has it",
        ),
        pytest.param("TZ=Asia/Kolkata 0 6 * * *", "2026-02-01", ["2026-02-01 00:30"], id="a zone by the short prefix"),
        pytest.param("CRON_TZ=Asia/Kolkata @daily", "2026-02-01", ["2026-02-01 18:30"], id="a descriptor in a zone"),
        pytest.param("  0   6 *\t* *  ", "2026-02-01", ["2026-02-01 06:00"], id="spaces"),
    ],
)
def test_schedule_is_due(text: str, after: str, due: list[str]) -> None:
    assert first(len(due), text, at(after)) == due


@pytest.mark.parametrize("month", range(1, 13))
def test_days_that_a_month_never_has_are_refused_and_no_others(month: int) -> None:
    refused = []
    for day in range(1, 32):
        try:
            parse(f"0 0 {day} {month} *")
        except BadInput:
            refused.append(day)

    assert refused == [day for day in range(1, 32) if day > monthrange(2000, month)[1]]


@pytest.mark.parametrize(("word", "fields"), DESCRIPTORS.items())
def test_descriptor_stands_for_fields(word: str, fields: str) -> None:
    assert first(3, word, at("2026-02-11 11:11")) == first(3, fields, at("2026-02-11 11:11"))


def test_every_is_counted_from_the_deployment() -> None:
    deployed = at("2026-02-11 11:11:11") + 0.7

    due = [
        next(ticks("@every 1h30m", after, anchor=deployed)) for after in (deployed - 9999, deployed, deployed + 5399.9)
    ]

    assert due == [at("2026-02-11 12:41:11"), at("2026-02-11 12:41:11"), at("2026-02-11 14:11:11")]
    assert parse("CRON_TZ=Asia/Tokyo @every 1.9s").every_s == 1
    assert parse("@every 90s").kind is Kind.EVERY


NEW_YORK = "CRON_TZ=America/New_York"
BERLIN = "CRON_TZ=Europe/Berlin"
LORD_HOWE = "CRON_TZ=Australia/Lord_Howe"


@pytest.mark.parametrize(
    ("text", "after", "due"),
    [
        pytest.param(
            f"{NEW_YORK} 30 2 * * *",
            "2026-03-07 00:00",
            ["2026-03-07 07:30", "2026-03-08 07:00", "2026-03-09 06:30"],
            id="New York in spring: 2:30 is skipped and runs at 3:00",
        ),
        pytest.param(
            f"{NEW_YORK} */20 2 * * *",
            "2026-03-08 00:00",
            ["2026-03-08 07:00", "2026-03-09 06:00"],
            id="New York in spring: all of the skipped hour runs once, at its end",
        ),
        pytest.param(
            f"{NEW_YORK} 30 2,3 * * *",
            "2026-03-08 00:00",
            ["2026-03-08 07:00", "2026-03-08 07:30", "2026-03-09 06:30"],
            id="New York in spring: a skipped time beside one that there is",
        ),
        pytest.param(
            f"{NEW_YORK} 30 * * * *",
            "2026-03-08 06:00",
            ["2026-03-08 06:30", "2026-03-08 07:30", "2026-03-08 08:30"],
            id="New York in spring: hourly goes on hourly",
        ),
        pytest.param(
            f"{NEW_YORK} 30 1 * * *",
            "2026-11-01 00:00",
            ["2026-11-01 05:30", "2026-11-02 06:30"],
            id="New York in autumn: 1:30 is repeated and runs once",
        ),
        pytest.param(
            f"{NEW_YORK} 30 * * * *",
            "2026-11-01 05:00",
            ["2026-11-01 05:30", "2026-11-01 06:30", "2026-11-01 07:30"],
            id="New York in autumn: hourly goes on hourly",
        ),
        pytest.param(
            f"{BERLIN} 30 2 * * *",
            "2026-03-28 12:00",
            ["2026-03-29 01:00", "2026-03-30 00:30"],
            id="Berlin in spring",
        ),
        pytest.param(
            f"{BERLIN} 30 2 * * *",
            "2026-10-24 12:00",
            ["2026-10-25 00:30", "2026-10-26 01:30"],
            id="Berlin in autumn",
        ),
        pytest.param(
            f"{LORD_HOWE} 15 2 * * *",
            "2026-10-03 00:00",
            ["2026-10-03 15:30", "2026-10-04 15:15"],
            id="Lord Howe in spring: half an hour is skipped",
        ),
        pytest.param(
            f"{LORD_HOWE} 45 1 * * *",
            "2026-04-04 00:00",
            ["2026-04-04 14:45", "2026-04-05 15:15"],
            id="Lord Howe in autumn: half an hour is repeated",
        ),
        pytest.param(
            "CRON_TZ=America/Santiago 0 0 * * *",
            "2026-09-05 12:00",
            ["2026-09-06 04:00", "2026-09-07 03:00"],
            id="Santiago: midnight itself is skipped",
        ),
        pytest.param(
            "CRON_TZ=Pacific/Apia 0 12 * * *",
            "2011-12-29 12:00",
            ["2011-12-29 22:00", "2011-12-30 10:00", "2011-12-30 22:00"],
            id="Samoa: a whole day is skipped",
        ),
    ],
)
def test_clocks_that_change(text: str, after: str, due: list[str]) -> None:
    assert first(len(due), text, at(after)) == due


def test_repeated_time_does_not_run_again_for_who_asks_within_the_repetition() -> None:
    again = at("2026-11-01 01:10", "America/New_York", fold=1)

    assert first(1, f"{NEW_YORK} 30 1 * * *", again) == ["2026-11-02 06:30"]


def test_no_instant_is_past_the_end_of_all_calendars() -> None:
    assert parse("0 0 1 1 *").next_after(at("9999-12-30"), 0) == math.inf
    assert parse(f"{BERLIN} 0 0 1 1 *").next_after(9e12, 0) == math.inf


def steps(rule: FieldRule) -> st.SearchStrategy[str]:
    values = st.integers(rule.low, rule.high)
    spans = st.tuples(values, values).map(sorted).map(lambda span: f"{span[0]}-{span[1]}")
    items = st.one_of(st.just("*"), values.map(str), spans)
    stepped = st.one_of(items, st.tuples(items, st.integers(1, 40)).map(lambda both: f"{both[0]}/{both[1]}"))
    return st.lists(stepped, min_size=1, max_size=3).map(",".join)


FIELDS = st.tuples(
    steps(MINUTE),
    st.one_of(st.just("*"), steps(HOUR)),
    st.one_of(st.just("*"), steps(DAY_OF_MONTH)),
    st.just("*"),
    st.one_of(st.just("*"), steps(DAY_OF_WEEK)),
)

CHANGES = {
    "America/New_York": ("2026-03-08 06:00", "2026-11-01 05:00"),
    "Europe/Berlin": ("2026-03-29 00:00", "2026-10-25 00:00"),
    "Australia/Lord_Howe": ("2026-04-04 14:00", "2026-10-03 14:00"),
}
"""An hour before clocks change, in UTC."""


class Naive:
    """What fields say of one minute, written down anew and without any skill."""

    def __init__(self, fields: tuple[str, ...]) -> None:
        self.sets = [self._values(text, rule) for text, rule in zip(fields, RULES, strict=True)]
        self.stars = [any(item in ("*", "*/1") for item in text.split(",")) for text in fields]
        self.every_hour = len(self.sets[1]) == 24

    @staticmethod
    def _values(text: str, rule: FieldRule) -> set[int]:
        values = set()
        for item in text.split(","):
            span, _, step = item.partition("/")
            low, _, high = span.replace("*", f"{rule.low}-{rule.high}").partition("-")
            last = int(high) if high else (rule.high if step else int(low))
            values |= {value for value in range(int(low), last + 1) if (value - int(low)) % int(step or 1) == 0}
        return values

    def matches(self, shown: datetime) -> bool:
        minute, hour, day, month, weekday = self.sets
        by_month, by_week = shown.day in day, shown.isoweekday() % 7 in weekday
        either = by_month or by_week
        on_day = either if not (self.stars[2] or self.stars[4]) else by_month and by_week
        return shown.minute in minute and shown.hour in hour and shown.month in month and on_day

    def walk(self, zone: ZoneInfo, after: float, minutes: int) -> list[float]:
        """Each minute is looked at; those that the clock left out, too."""
        found = []
        start = (math.floor(after / 60) + 1) * 60
        for instant in range(start, start + 60 * minutes, 60):
            shown = datetime.fromtimestamp(instant, zone)
            before = datetime.fromtimestamp(instant - 60, zone)
            due = self.matches(shown) and (self.every_hour or shown.fold == 0)
            if not self.every_hour:
                left_out = range(
                    60, int((shown.replace(tzinfo=None) - before.replace(tzinfo=None)).total_seconds()), 60
                )
                wall = before.replace(tzinfo=UTC, fold=0).timestamp()
                due = due or any(self.matches(datetime.fromtimestamp(wall + more, UTC)) for more in left_out)
            if due:
                found.append(float(instant))
        return found


@settings(max_examples=40, deadline=None)
@given(FIELDS, st.sampled_from(sorted(CHANGES)), st.integers(0, 1), st.integers(-7200, 7200))
@example(("30", "2", "*", "*", "*"), "Europe/Berlin", 0, 0)
@example(("*/7", "*", "1", "*", "0"), "America/New_York", 1, 1800)
@example(("45", "1", "*", "*", "*"), "Australia/Lord_Howe", 0, 1)
def test_ticks_around_a_change_are_those_of_who_looks_at_each_minute(
    fields: tuple[str, ...], zone: str, change: int, offset: int
) -> None:
    after, minutes = at(CHANGES[zone][change]) + offset, 400

    expected = Naive(fields).walk(ZoneInfo(zone), after, minutes)

    found, schedule, instant = [], parse(f"CRON_TZ={zone} {' '.join(fields)}"), after
    while (instant := schedule.next_after(instant, 0)) <= after + 60 * minutes:
        found.append(instant)
    assert found == expected


@settings(max_examples=20, deadline=None)
@given(FIELDS, st.integers(0, 400 * 86_400))
def test_ticks_in_utc_are_those_of_who_looks_at_each_minute(fields: tuple[str, ...], offset: int) -> None:
    after, minutes = at("2027-12-01") + offset, 700

    expected = Naive(fields).walk(ZoneInfo("UTC"), after, minutes)

    found, schedule, instant = [], parse(" ".join(fields)), after
    while (instant := schedule.next_after(instant, 0)) <= after + 60 * minutes:
        found.append(instant)
    assert found == expected


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 10**7), st.integers(0, 2 * 10**9), st.integers(-(10**7), 10**7))
def test_every_is_due_at_whole_turns_and_at_each(every: int, anchor: int, offset: int) -> None:
    schedule, after = parse(f"@every {every}s"), float(anchor + offset)
    run = [after]
    for _ in range(4):
        run.append(schedule.next_after(run[-1], anchor))

    assert all((instant - anchor) % every == 0 and instant > anchor for instant in run[1:])
    assert all(later > earlier for earlier, later in pairwise(run))
    assert run[1] - max(after, anchor) <= every
