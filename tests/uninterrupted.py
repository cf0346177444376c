"""What must not be interrupted by the collector of garbage."""

from __future__ import annotations

import functools
import gc
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


def uninterrupted(function: Callable[P, T]) -> Callable[P, T]:
    """``function``, during which nothing is collected.

    Of ``ast.parse``: what the collector runs in the middle of it may parse, too (a traceback that is logged does), and
    then CPython raises SystemError: "AST constructor recursion depth mismatch" (CPython issue 106905).
    """

    @functools.wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
        collecting = gc.isenabled()
        gc.disable()
        try:
            return function(*args, **kwargs)
        finally:
            if collecting:
                gc.enable()

    return wrapped
