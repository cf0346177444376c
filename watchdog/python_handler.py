"""Python handlers in the replica's own process: called by their template's convention, their answers checked and sent.

Handlers may be async; others run in threads. A call is handled once: whatever ``handle`` does or returns, there is an
answer or, when that had begun already, an answer that is visibly broken off.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import os
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, thread
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

from . import handler_wsgi
from .calls import INTERNAL, Caller, CallerLeftError, Receive, Scope, Send, SlowCallerError, exec_limit, reply
from .config import WatchdogConfig
from .ended_process import end_process
from .handler_answer import Answer, UnsendableError
from .handler_conventions import NotTextError, convention_of
from .handler_delivery import Delivery
from .handler_event import MissingKeyError, Request
from .log import log, log_exception

MAX_THREADS = 64
"""Synchronous handlers running at once in one replica; more calls wait their turn."""

MAX_LAST_WORD_S = 1.0
"""For telling a caller that its call ends the replica."""
OURS = [(INTERNAL, b"of-watchdog")]
T = TypeVar("T")


@dataclass(frozen=True)
class Failure:
    """What a handler raised: kept as a value, since not every exception can pass through a future or the loop."""

    error: BaseException


def forget_threads_in_children() -> None:
    """From now on. A process that a handler forks has one thread; Python before 3.12 would wait for the others."""
    os.register_at_fork(after_in_child=getattr(thread, "_threads_queues", {}).clear)


class PythonHandler:
    """One handler, imported before the replica serves."""

    def __init__(
        self, config: WatchdogConfig, handle: Callable[..., Any], env: Mapping[str, str], hostname: str
    ) -> None:
        """Inside the loop that serves."""
        assert config.handler is not None
        self._config, self._handle = config, handle
        self._convention = convention_of(config.lang, handle, env, hostname)
        self._executor = ThreadPoolExecutor(MAX_THREADS, "handler")
        self._loop, self._pid = asyncio.get_running_loop(), os.getpid()
        self._of_thread = threading.local()
        self._is_async = inspect.iscoroutinefunction(handle)
        self._flask: handler_wsgi.FlaskCalls | None = None
        if handler_wsgi.wants_flask(config.handler):
            self._flask = handler_wsgi.FlaskCalls(self._convention, self._called_in_thread)

    def close(self) -> None:
        """Take no more calls; handlers that run in threads are not waited for."""
        self._executor.shutdown(wait=False)

    def answer_before_exit(self) -> None:
        """From now on: who is in a call that ends this process by ``os._exit`` is told so.

        Without an answer a gateway takes the replica for lost, and has the call run again by the next.
        """
        leave = os._exit

        def leave_after_answer(status: int) -> NoReturn:
            delivery = getattr(self._of_thread, "delivery", None)
            if delivery is not None and os.getpid() == self._pid:
                self._of_thread.delivery = None
                log(f"the handler ended the replica: os._exit({status})")
                with contextlib.suppress(Exception):
                    told = asyncio.run_coroutine_threadsafe(self._tell_end(delivery), self._loop)
                    told.result(MAX_LAST_WORD_S)
            leave(status)

        setattr(os, "_exit", leave_after_answer)  # noqa: B010 - it is replaced on purpose

    async def _tell_end(self, delivery: Delivery) -> None:
        if not delivery.begun:
            await reply(delivery.send, 500, b"The handler ended its process; see the function's log.", OURS)
            await asyncio.sleep(0)  # What was written has left with the next turn of the loop.

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        caller = Caller(receive)
        try:
            body = await caller.body()
        except CallerLeftError:
            return
        except SlowCallerError as error:
            log(str(error))
            await reply(send, 408, str(error).encode(), OURS)
            return
        request = Request(scope["method"], scope["path"], scope["query_string"], list(scope["headers"]), body)
        delivery = Delivery(send, caller, request.method)
        limit = exec_limit(request.headers, self._config.exec_timeout_s)
        try:
            outcome = await self._in_time(self._outcome(request, delivery), delivery, limit.seconds)
        except TimeoutError:
            if delivery.begun:
                log(f"the answer is broken off: nothing came of it for {limit}")
                raise ConnectionAbortedError from None
            log(f"The handler took longer than {limit}.")
            await reply(send, 504, f"The handler took longer than {limit}.".encode(), OURS)
            return
        if isinstance(outcome, Failure):
            await self._fail(outcome.error, delivery)
        elif outcome is not None:
            await delivery.whole(outcome)

    async def _in_time(
        self, work: Coroutine[Any, Any, Answer | Failure | None], delivery: Delivery, limit_s: float | None
    ) -> Answer | Failure | None:
        """Raises TimeoutError when no answer has begun in time, or a stream brought nothing for so long.

        A thread goes on then, and nobody takes what it makes.
        """
        if limit_s is None:
            return await work
        task = asyncio.ensure_future(work)
        sent = -1
        while not task.done() and delivery.sent > sent:
            sent = delivery.sent
            await asyncio.wait([task], timeout=limit_s)
        if task.done():
            return await task
        delivery.give_up()
        task.cancel()
        raise TimeoutError

    async def _outcome(self, request: Request, delivery: Delivery) -> Answer | Failure | None:
        """A whole answer to send. None: it has been sent, piece by piece."""
        if self._is_async and self._flask is None:
            return await _caught(self._on_loop(request, delivery))
        outcome: Any = await self._in_thread(self._respond, request, delivery)
        if isinstance(outcome, Answer) and outcome.pieces is not None:
            return await _caught(self._sent(outcome, delivery))
        if isinstance(outcome, Awaitable):
            return await _caught(self._awaited(outcome, request, delivery))
        assert outcome is None or isinstance(outcome, (Answer, Failure))
        return outcome

    async def _on_loop(self, request: Request, delivery: Delivery) -> Answer | None:
        return await self._awaited(self._handle(*self._convention.arguments(request)), request, delivery)

    async def _awaited(self, result: Awaitable[Any], request: Request, delivery: Delivery) -> Answer | None:
        answer = handler_wsgi.answer_of(await result, request, self._convention)
        if answer.pieces is None:
            return answer
        await self._sent(answer, delivery)
        return None

    async def _sent(self, answer: Answer, delivery: Delivery) -> None:
        if isinstance(answer.pieces, AsyncIterator):
            await delivery.pieces_of_loop(answer)
            return
        failure = await self._in_thread(delivery.pieces_of_thread, answer)
        if failure is not None:
            raise failure.error

    async def _in_thread(self, work: Callable[..., Any], *arguments: Any) -> Any:
        return await self._loop.run_in_executor(self._executor, self._guarded, work, *arguments)

    def _guarded(self, work: Callable[..., Any], *arguments: Any) -> Any:
        """The result, or the Failure. A process that the handler forked never goes on as if it were the replica."""
        try:
            result = work(*arguments)
            self._of_thread.delivery = None
        except BaseException as error:  # noqa: BLE001 - the function's own code may raise anything
            if os.getpid() != self._pid:
                end_process(error)
            self._of_thread.delivery = None
            return Failure(error)
        if os.getpid() != self._pid:
            end_process(None)
        return result

    def _respond(self, request: Request, delivery: Delivery) -> Any:
        """In a thread: an answer to send, None when it has been sent, or what is to be awaited on the loop."""
        self._of_thread.delivery = delivery
        if self._flask is not None:
            answer = self._flask.answer(request)
        else:
            result = self._handle(*self._convention.arguments(request))
            if inspect.isawaitable(result):
                return result
            answer = handler_wsgi.answer_of(result, request, self._convention)
        if isinstance(answer.pieces, Iterator):
            delivery.pieces_of_thread(answer)
            return None
        return answer

    def _called_in_thread(self, *arguments: Any) -> Any:
        """``handle``, from a thread; what it awaits is awaited on the loop."""
        result = self._handle(*arguments)
        if not inspect.isawaitable(result):
            return result
        outcome = asyncio.run_coroutine_threadsafe(_caught(_value(result)), self._loop).result()
        if isinstance(outcome, Failure):
            raise outcome.error
        return outcome

    async def _fail(self, error: BaseException, delivery: Delivery) -> None:
        """Raises ConnectionAbortedError, which breaks the connection off, for an answer that has begun."""
        if isinstance(error, CallerLeftError):
            return
        if isinstance(error, (UnsendableError, NotTextError)):
            log(f"500: {error}")
        else:
            log_exception(error)
        if delivery.begun:
            log("the answer is broken off")
            raise ConnectionAbortedError
        status, text, marks = _told(error)
        await reply(delivery.send, status, text, marks)


def _told(error: BaseException) -> tuple[int, bytes, list[tuple[bytes, bytes]]]:
    """Status, text and marks of the answer to a call that failed. What was raised is for the log only."""
    if isinstance(error, MissingKeyError):
        return 400, b"Bad Request: the handler misses a header or an argument of the query; see its log.\n", []
    if isinstance(error, NotTextError):
        return (
            500,
            b"The body is no text in UTF-8, which the handler takes; with the variable RAW_BODY=true it gets bytes.",
            OURS,
        )
    if isinstance(error, UnsendableError):
        return 500, b"The handler returned what cannot be sent; see the function's log.", OURS
    return 500, b"The handler raised an exception; see the function's log.", OURS


async def _value(result: Awaitable[Any]) -> Any:
    return await result


async def _caught(work: Coroutine[Any, Any, T]) -> T | Failure:
    """Its result or its Failure: SystemExit, say, would end the loop."""
    try:
        return await work
    except BaseException as error:  # noqa: BLE001 - the function's own code may raise anything
        return Failure(error)
