"""Structured logs: readable with colour on a terminal, one JSON object a line elsewhere. Secrets never reach here."""

from __future__ import annotations

import logging
import sys
from typing import TextIO

import structlog


def configure(*, stream: TextIO = sys.stderr, level: int = logging.INFO) -> None:
    """Send every logger of this process to ``stream``. Call once, from a process's entry point."""
    terminal = stream.isatty()
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if terminal:
        shared.append(structlog.dev.ConsoleRenderer())
    else:
        shared += [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    structlog.configure(
        processors=shared,
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=stream),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(stream=stream, level=max(level, logging.WARNING), format="%(levelname)s %(name)s: %(message)s")
