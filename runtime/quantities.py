"""Kubernetes resource quantities, as ``limits`` and ``requests`` have them: ``128Mi``, ``100m``."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal

_QUANTITY = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:([eE][+-]?[0-9]{1,3})|([numkMGTPE]|[KMGTPE]i)?)")
_FACTORS = {
    "": Decimal(1),
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    **{unit: Decimal(1000) ** power for power, unit in enumerate("kMGTPE", 1)},
    **{f"{unit}i": Decimal(1024) ** power for power, unit in enumerate("KMGTPE", 1)},
}

MAX_LENGTH = 64
MAX_AMOUNT = (1 << 63) - 1
"""Kubernetes' own bound for any quantity."""
MIN_MEMORY_BYTES, MAX_MEMORY_BYTES = 4 << 20, 1 << 50
"""A pebibyte is more than any machine has, and far from where the kernel's numbers end."""
MAX_CPU_MILLIS = 1_000_000


def memory_bytes(text: str) -> int:
    """Raises ValueError for what is not a quantity, and for what no program can run in."""
    value = int(parse(text).to_integral_value())
    if value < MIN_MEMORY_BYTES:
        raise ValueError(f"{text!r} is {value} bytes, too little for any program; write mebibytes as 20Mi")
    if value > MAX_MEMORY_BYTES:
        raise ValueError(f"{text!r} is more memory than any machine has; at most 1Pi, or leave it out for no limit")
    return value


def cpu_millis(text: str) -> int:
    """Thousandths of a processor. Raises ValueError."""
    value = int((parse(text) * 1000).to_integral_value())
    if value < 1:
        raise ValueError(f"{text!r} is less than a thousandth of a processor; write 100m for a tenth")
    if value > MAX_CPU_MILLIS:
        raise ValueError(f"{text!r} is more than any machine has; at most {MAX_CPU_MILLIS // 1000} processors")
    return value


def read(what: str, given: Mapping[str, str], problems: list[str]) -> dict[str, int]:
    """Bytes of ``memory`` and thousandths of a processor, of ``limits`` or ``requests``. Adds to ``problems``."""
    parsers: dict[str, Callable[[str], int]] = {"memory": memory_bytes, "cpu": cpu_millis}
    values: dict[str, int] = {}
    for name, parser in parsers.items():
        if not given.get(name):
            continue
        try:
            values[name] = parser(given[name])
        except ValueError as error:
            problems.append(f"{what}.{name}: {error}")
    return values


def parse(text: str) -> Decimal:
    """The number that a quantity stands for. Raises ValueError."""
    match = _QUANTITY.fullmatch(text.strip()) if len(text) <= MAX_LENGTH else None
    if match is None:
        raise ValueError(
            f"{text[:MAX_LENGTH]!r} is not a quantity; write memory as 128Mi and processor time as 100m or 0.1"
        )
    number, exponent, unit = match.groups()
    amount = Decimal(number + (exponent or "")) * _FACTORS[unit or ""]
    if amount > MAX_AMOUNT:
        raise ValueError(f"{text!r} is more than any quantity may be, {MAX_AMOUNT}")
    return amount
