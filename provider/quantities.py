"""Kubernetes resource quantities, as ``limits`` and ``requests`` have them: ``128Mi``, ``100m``."""

from __future__ import annotations

import re
from decimal import Decimal

_QUANTITY = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(?:([eE][+-]?\d+)|([numkMGTPE]|[KMGTPE]i)?)")
_FACTORS = {
    "": Decimal(1),
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    **{unit: Decimal(1000) ** power for power, unit in enumerate("kMGTPE", 1)},
    **{f"{unit}i": Decimal(1024) ** power for power, unit in enumerate("KMGTPE", 1)},
}

MIN_MEMORY_BYTES = 4 << 20


def memory_bytes(text: str) -> int:
    """Raises ValueError for what is not a quantity, and for what no program can run in."""
    value = int(parse(text).to_integral_value())
    if value < MIN_MEMORY_BYTES:
        raise ValueError(f"{text!r} is {value} bytes, too little for any program; write mebibytes as 20Mi")
    return value


def cpu_millis(text: str) -> int:
    """Thousandths of a processor. Raises ValueError."""
    value = int((parse(text) * 1000).to_integral_value())
    if value < 1:
        raise ValueError(f"{text!r} is less than a thousandth of a processor; write 100m for a tenth")
    return value


def parse(text: str) -> Decimal:
    """The number that a quantity stands for. Raises ValueError."""
    match = _QUANTITY.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a quantity; write memory as 128Mi and processor time as 100m or 0.1")
    number, exponent, unit = match.groups()
    return Decimal(number + (exponent or "")) * _FACTORS[unit or ""]
