"""Quantities: numbers with a binary or decimal suffix."""

from __future__ import annotations

import re
from decimal import Decimal

_SYNTAX = re.compile(r"(?P<number>[+-]?(?:\d+\.?\d*|\.\d+))(?P<suffix>[eE][+-]?\d+|[KMGTPE]i|[numkMGTPE])?")
_SUFFIXES = {
    "n": Decimal("1e-9"), "u": Decimal("1e-6"), "m": Decimal("1e-3"), "k": Decimal(10) ** 3, "M": Decimal(10) ** 6,
    "G": Decimal(10) ** 9, "T": Decimal(10) ** 12, "P": Decimal(10) ** 15, "E": Decimal(10) ** 18,
    "Ki": Decimal(2) ** 10, "Mi": Decimal(2) ** 20, "Gi": Decimal(2) ** 30, "Ti": Decimal(2) ** 40,
    "Pi": Decimal(2) ** 50, "Ei": Decimal(2) ** 60,
}  # fmt: skip


def amount(text: str) -> Decimal:
    """Raises ValueError for anything that is not a quantity."""
    found = _SYNTAX.fullmatch(text)
    if found is None:
        raise ValueError(f"not a quantity: {text!r}")
    suffix = found["suffix"] or ""
    if suffix[:1] in ("e", "E") and len(suffix) > 1 and suffix not in _SUFFIXES:
        return Decimal(found["number"]) * Decimal(10) ** int(suffix[1:])
    return Decimal(found["number"]) * _SUFFIXES.get(suffix, Decimal(1))


def canonical(text: str) -> str:
    """As the server writes it: a whole number with the largest suffix of its kind. Raises ValueError."""
    found, value = _SYNTAX.fullmatch(text), amount(text)
    suffix = (found["suffix"] if found else "") or ""
    if value == 0 or (suffix[:1] in ("e", "E") and len(suffix) > 1 and not suffix.endswith("i")):
        return "0" if value == 0 else text
    kinds = _BINARY if suffix.endswith("i") and abs(value) >= 1024 and value == int(value) else _DECIMAL
    return next(f"{int(value / size)}{name}" for name, size in kinds if value / size == int(value / size))


_BINARY = [(name, _SUFFIXES[name]) for name in ("Ei", "Pi", "Ti", "Gi", "Mi", "Ki")] + [("", Decimal(1))]
_DECIMAL = [(name, _SUFFIXES.get(name, Decimal(1))) for name in ("E", "P", "T", "G", "M", "k", "", "m", "u", "n")]
