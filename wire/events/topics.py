"""Which topics a function wants, by its annotation: read alike when it is deployed, when it is shown and by connectors.

What a topic may be is the systems' own affair, and nearly everything is one somewhere: refused is what none can have.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

ANNOTATION = "topic"
DELIMITER = ","
"""Unless a connector is told another one."""
MAX_TOPICS = 100
"""Of one function."""
MAX_TOPIC = 1024
"""Characters."""
_SHOWN = 40
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def topics_of(annotations: Mapping[str, str], *, delimiter: str = DELIMITER) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The topics that can come, each once, and what is wrong: each problem with key, value and remedy."""
    text = annotations.get(ANNOTATION, "")
    if not text.strip():
        return (), ()
    words = [word.strip() for word in text.split(delimiter)]
    problems = {word: _problem(word, delimiter) for word in words}
    topics = [word for word, problem in problems.items() if not problem]
    told = [problem for problem in problems.values() if problem]
    if len(topics) > MAX_TOPICS:
        remedy = f"the first {MAX_TOPICS} count; want a pattern that is subscribed to, as orders.*"
        told.append(f"annotation {ANNOTATION}: {len(topics)} topics; {remedy}")
    return tuple(topics[:MAX_TOPICS]), tuple(told)


def problems_of(annotations: Mapping[str, str]) -> tuple[str, ...]:
    return topics_of(annotations)[1]


def _problem(topic: str, delimiter: str) -> str:
    """Empty where there is none."""
    about = f"annotation {ANNOTATION}={topic[:_SHOWN]!r}"
    if not topic:
        return f"annotation {ANNOTATION}: one of its topics is empty; leave out a {delimiter} of it"
    if len(topic) > MAX_TOPIC:
        return f"{about}: has {len(topic)} characters; at most {MAX_TOPIC} are looked for"
    if _CONTROL.search(topic):
        return f"{about}: has a line break or another control character; write several topics as a{delimiter} b"
    if "/" in topic and "#" in topic.split("/")[:-1]:
        return f"{about}: # is for all that follows, and stands only at the end, as in sensors/#"
    if "/" not in topic and ">" in topic.split(".")[:-1]:
        return f"{about}: > is for all that follows, and stands only at the end, as in orders.>"
    return ""
