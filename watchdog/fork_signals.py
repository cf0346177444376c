"""Signals to a child that a handler forks, as ``multiprocessing`` does, are not this replica's to hear.

The child has the handlers of the loop, and shares its descriptor for signals: to end the child would do nothing to it,
and drain the replica.
"""

from __future__ import annotations

import os
import signal
import threading


def end_by(number: signal.Signals) -> None:
    """To the first process of a PID namespace the system does nothing by default: there it ends it by this."""
    if os.getpid() == 1:
        signal.signal(number, _end)


def _end(number: int, _frame: object) -> None:
    if os.getpid() == 1:
        os._exit(128 + number)
    signal.signal(number, signal.SIG_DFL)  # In a child, which has the handler from us.
    os.kill(os.getpid(), number)


def of_function(number: signal.Signals) -> object:
    """The handler that the function has set, if any."""
    handler = signal.getsignal(number)
    return None if handler is _end else handler


def keep_from_children(*numbers: signal.Signals) -> None:
    """From now on, children begin with what the system does by default for these, unless somebody else handles them.

    They are held back while a child begins, so that none reaches it before.
    """
    ours = {number: signal.getsignal(number) for number in numbers}
    masks = threading.local()

    def hold_back() -> None:
        masks.before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)

    def let_in() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, masks.before)

    def begin() -> None:
        signal.set_wakeup_fd(-1)
        for number, handler in ours.items():
            if signal.getsignal(number) is handler:
                signal.signal(number, signal.SIG_DFL)
        let_in()

    os.register_at_fork(before=hold_back, after_in_parent=let_in, after_in_child=begin)
