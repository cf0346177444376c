"""The states of a call and what moves it from one to the next, as data.

Everything that changes a call's state is in the table below: ``call.Call`` looks its next state up in it, so that an
event in a state without an entry for it is an error and not a guess. The diagram in ARCHITECTURE.md is checked against
it. The shape is that of h11's ``_state.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum, auto


class CallState(IntEnum):
    ROUTING = auto()
    """It has no replica and does not wait for one: it has just begun, or has lost its replica."""
    HELD = auto()
    """It waits until a replica has room."""
    ASSIGNED = auto()
    """A replica has room, and a connection to it is being opened."""
    SENT = auto()
    """A connection carries it; nothing has been answered yet."""
    ANSWERING = auto()
    """The head of the answer has been passed on."""
    TUNNELLED = auto()
    """The replica switched protocols: bytes are passed on as they are."""
    FINISHED = auto()


class CallEvent(IntEnum):
    HOLD = auto()
    """No replica has room."""
    ASSIGN = auto()
    """A replica has room."""
    SEND = auto()
    """There is a connection to the replica."""
    LOSE = auto()
    """The replica cannot be reached, broke the connection, or refused the call before the function saw it."""
    ANSWER = auto()
    """The answer begins."""
    SWITCH = auto()
    """The answer is 101."""
    FINISH = auto()
    """The answer is complete, or was broken off, or we answered in place of the function, or the client has left."""


TRANSITIONS: Mapping[CallEvent, Mapping[CallState, CallState]] = {
    CallEvent.HOLD: {CallState.ROUTING: CallState.HELD},
    CallEvent.ASSIGN: {CallState.ROUTING: CallState.ASSIGNED, CallState.HELD: CallState.ASSIGNED},
    CallEvent.SEND: {CallState.ASSIGNED: CallState.SENT},
    CallEvent.LOSE: {CallState.ASSIGNED: CallState.ROUTING, CallState.SENT: CallState.ROUTING},
    CallEvent.ANSWER: {CallState.SENT: CallState.ANSWERING},
    CallEvent.SWITCH: {CallState.SENT: CallState.TUNNELLED},
    CallEvent.FINISH: {state: CallState.FINISHED for state in CallState if state is not CallState.FINISHED},
}
