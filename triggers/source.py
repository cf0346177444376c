"""What a source of events is, and how one is written.

A source speaks with one system and knows nothing of functions, of the gateway or of other sources. To write one:

1. ``triggers/sources/NAME.py``, the only module that imports its library. It has

   * ``Settings``: a frozen dataclass of ``runtime.settings.setting`` fields. A field's ``env`` is its key in the file
     of ``springtide connector FILE``. Each number has a ``high``. A secret is a file (``source_settings.password``),
     and in no address (``source_settings.address``).
   * ``build(name, settings) -> Source``: opens nothing. Raises BadInput naming key, value and remedy. ``name`` is the
     source's in the file: it belongs into ``Event.source`` (``/NAME/…``), so that two of a kind are told apart.

2. A row in ``triggers/sources/kinds.py``: the extra that brings the library, what OpenFaaS calls the settings in its
   environment, what is said of the source in the help. The extra itself goes into pyproject.toml, with a reason, and
   into the extra ``connectors``, which the container image has. `python -m deploy` tells Helm of the keys.

3. ``tests/triggers/contract/NAME_systems.py``: the real server as an ``EventSystem``, and a row in ``stages`` there;
   ``tests/triggers/test_NAME.py`` for what only this source has.

The framework asks and decides; a source only does as it is told:

* ``connect()`` is entered once for each connection, and left when it broke or nothing more is wanted. It raises
  Unavailable where the system is away (tried again, after a pause that grows) and BadInput where trying again is of no
  use as things are (a wrong password). Errors of the library become these here, and their texts hold no secret.
* ``Feed.take(limit)`` waits until there is at least one event, and returns at most ``limit``: what there is no room for
  stays in the system. It may be cancelled at any time, and then no event is lost: what was fetched is given at the next
  ``take``, or handed back when the connection is left. It raises Unavailable when the connection is broken.
* Each ``Received`` is ended by one of ``taken`` and ``give_back``, once; in any order, many at a time, after the
  connection broke, too, where both may raise Unavailable: the event comes again, and its function is called once for it
  all the same, for the queue knows it by source, id and body. So ``Event.id`` must be that of the event, never one of
  the delivery or of the connection. A system that counts up (an offset, a position in a log) is told with the help of
  ``consumed.Consumed``, of what is taken without a gap.
* While it is in flight, ``keep`` is called every ``KEEP_S``: where the system lends events for a time, it is prolonged.
* A feed that can is ``Counting``, too: it is asked every ``WAITING_S``, for a metric.
* ``at_least_once`` is False for a system that forgets what it has sent; its events are ``Unacknowledged``. One that
  pushes, whoever asks, has a feed in ``pushed.PushedEvents``.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from springtide.wire.events.event import Event

KEEP_S = 10.0
"""Systems that lend an event for a time must lend it for several of these."""
WAITING_S = 15.0


class Received(Protocol):
    """One event, on loan."""

    @property
    def event(self) -> Event: ...

    async def taken(self) -> None:
        """It is stored in the queue or delivered, or nobody wants it: it need not be given again."""

    async def give_back(self) -> None:
        """It is to be given again, to whoever asks next."""

    async def keep(self) -> None:
        """It takes longer."""


class Feed(Protocol):
    """One connection."""

    async def take(self, limit: int) -> Sequence[Received]: ...


@runtime_checkable
class Counting(Protocol):
    """A feed whose system tells how many of its events wait."""

    async def waiting(self) -> int | None:
        """Of all copies together, without those that are in flight; None where it is not known just now. Raises
        Unavailable."""


class Source(Protocol):
    @property
    def connector(self) -> str:
        """What it says in X-Connector: ``nats-connector``."""

    @property
    def at_least_once(self) -> bool: ...

    def connect(self) -> AbstractAsyncContextManager[Feed]: ...


@dataclass(frozen=True, slots=True)
class Unacknowledged:
    """Implements ``Received`` for a system that forgets what it has sent."""

    event: Event

    async def taken(self) -> None: ...

    async def give_back(self) -> None: ...

    async def keep(self) -> None: ...
