"""Schedules for people: which there are, when they are due, what became of the last ticks; pause, resume, run.

GET  /system/schedules[?namespace=…&function=…&next=5&search=…&state=…&order=…&offset=…&limit=…]
POST /system/schedules/NAME/pause|resume|run[?namespace=…&schedule=…]
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from springtide.runtime.asgi import App
from springtide.runtime.errors import BadInput, NotFound, SpringtideError, Unavailable, status_of
from springtide.runtime.routes import Routes
from springtide.scaler.core.ports import Clock
from springtide.scaler.core.vocabulary import FunctionRef
from springtide.triggers.cron.entry import BY_HAND, Entry, Outcome, Run
from springtide.triggers.cron.gateway import TickAnswer, TickCall, TickGateway
from springtide.triggers.cron.leading import Leading
from springtide.triggers.cron.listing import Listed, asked_for, chosen
from springtide.triggers.cron.scheduled_functions import ScheduledFunctions
from springtide.triggers.cron.term import Term
from springtide.triggers.gateway_requests import NO_QUEUE, Queue
from springtide.wire.events.headers import timestamp
from springtide.wire.schedules.annotations import FunctionSchedule

PATH = "/system/schedules"
STANDBY = "another copy sends the ticks, or what is kept of them has not been read yet; try again"


class More(Protocol):
    def add_to(self, routes: Routes) -> None: ...


class Blind(Unavailable):
    """502, of the copy that leads: asking another one is of no use."""


class SchedulesApi:
    """Asked of a copy that does not lead it answers 503, and the next one is to be asked."""

    def __init__(
        self,
        leading: Leading,
        functions: ScheduledFunctions,
        *,
        gateway: TickGateway,
        queue: Queue,
        clock: Clock,
        default_namespace: str,
    ) -> None:
        self._leading = leading
        self._functions = functions
        self._gateway = gateway
        self._queue = queue
        self._clock = clock
        self._namespace = default_namespace

    def __repr__(self) -> str:
        return f"<SchedulesApi over {self._leading!r}>"

    def app(self, more: More | None = None) -> App:
        """With the routes of ``more``, which fail as these do."""
        routes = Routes()
        if more is not None:
            more.add_to(routes)

        @routes.get(PATH)
        async def schedules(request: Request) -> Response:
            return JSONResponse(await self._listed(request), headers={"cache-control": "no-store"})

        @routes.post(PATH + "/{name}/{act}")
        async def acted(request: Request, name: str, act: str) -> Response:
            ref, term = self._ref(request, name), self._term()
            if act == "run":
                return await self._run(term, ref, request.query_params.get("schedule"))
            if act not in ("pause", "resume"):
                raise NotFound(f"{act}: there are pause, resume and run")
            self._known(term, ref)
            await (term.pause(ref) if act == "pause" else term.resume(ref))
            return JSONResponse({"function": ref.name, "namespace": ref.namespace, "paused": act == "pause"})

        return Starlette(routes=routes.routes, exception_handlers={SpringtideError: _failed})

    def _term(self) -> Term:
        """Raises Unavailable, and Blind where no other copy can do better."""
        term = self._leading.term
        if term is not None:
            return term
        if self._leading.leads and self._leading.problem:
            raise Blind(f"no tick is sent: {self._leading.problem}")
        raise Unavailable(STANDBY)

    def _ref(self, request: Request, name: str) -> FunctionRef:
        namespace = request.query_params.get("namespace")
        return FunctionRef(namespace, name) if namespace else FunctionRef.parse(name, self._namespace)

    def _known(self, term: Term, ref: FunctionRef) -> dict[str, Entry]:
        """Raises NotFound and BadInput."""
        function = self._functions.all.get(ref)
        if function is None:
            raise NotFound(f"function {ref} has no schedule; give it the annotations topic=cron-function and schedule")
        if not (entries := term.entries_of(ref)):
            raise BadInput(f"no schedule of {ref} can be read: {'; '.join(function.problems)}")
        return dict(entries)

    async def _listed(self, request: Request) -> dict[str, Any]:
        """``counts`` are of all schedules of the namespace or the function, ``total`` of those that are asked for.

        Raises BadInput and Unavailable.
        """
        term, asked = self._term(), asked_for(request.query_params)
        namespace, name = request.query_params.get("namespace"), request.query_params.get("function")
        if name:
            named = self._ref(request, name)
            refs = [named] if named in self._functions.all else []
        else:
            refs = sorted(ref for ref in self._functions.all if namespace in (None, "", ref.namespace))
        known = [Listed(entry, paused=term.paused(ref)) for ref in refs for entry in term.entries_of(ref).values()]
        await term.outcomes.learn([one.entry for one in known])
        found, total = chosen(known, asked)
        problems = self._problems(refs)
        return {
            "schedules": [self._entry(one.entry, asked.next, paused=one.paused) for one in found],
            "total": total,
            "problems": problems[: asked.limit],
            "counts": {
                "schedules": len(known),
                "paused": sum(one.paused for one in known),
                "failing": sum(one.failing for one in known),
                "problems": len(problems),
            },
            "queue": self._queue.there,
        }

    def _problems(self, refs: Sequence[FunctionRef]) -> list[dict[str, str]]:
        return [
            {"function": ref.name, "namespace": ref.namespace, "problem": problem}
            for ref in refs
            for problem in self._functions.all[ref].problems
        ]

    def _entry(self, entry: Entry, number: int, *, paused: bool) -> dict[str, Any]:
        schedule, options = entry.timed.schedule, entry.timed.options
        return {
            "function": entry.ref.name,
            "namespace": entry.ref.namespace,
            "schedule": schedule.text,
            "zone": schedule.zone,
            "paused": paused,
            "next": [] if paused else self._next(entry.timed, entry.anchor, number),
            "waiting": len(entry.pending),
            "overlap": options.overlap,
            "catchUp": options.catch_up,
            "jitterSeconds": options.jitter_s,
            "method": options.method,
            "path": options.path,
            "runs": [_run_json(run) for run in reversed(entry.runs)],
        }

    def _next(self, timed: FunctionSchedule, anchor: float, number: int) -> list[str]:
        found, at = [], self._clock.wall()
        for _ in range(number):
            at = timed.due_after(at, anchor)
            if at == float("inf"):
                break
            found.append(timestamp(at))
        return found

    async def _run(self, term: Term, ref: FunctionRef, text: str | None) -> Response:
        """One call now, as a tick makes it. Raises SpringtideError."""
        entries = self._known(term, ref)
        if text is not None and text not in entries:
            raise NotFound(f"function {ref} has no schedule {text[:80]!r}; it has {', '.join(entries)}")
        entry = entries[text] if text is not None else next(iter(entries.values()))
        now = self._clock.wall()
        call = TickCall(function=ref, schedule=entry.timed.schedule.text, at=now, options=entry.timed.options)
        answer = await self._gateway.keep(call) if not entry.at_once else TickAnswer(NO_QUEUE)
        if answer.status == NO_QUEUE:
            answer = await self._gateway.make(call)
            outcome = Outcome.CALLED if 200 <= answer.status < 300 else Outcome.FAILED
            term.ran(entry, Run(now, now, outcome, note=BY_HAND))
            return JSONResponse({"status": answer.status, "answer": answer.text, "job": answer.job})
        if answer.status != 202:
            raise Unavailable(f"the gateway answered {answer.status or 'nothing'}: {answer.text}")
        term.ran(entry, Run(now, now, Outcome.QUEUED, answer.job, BY_HAND))
        return JSONResponse({"status": 202, "job": answer.job}, 202)


def _run_json(run: Run) -> dict[str, Any]:
    told = {"due": timestamp(run.due), "at": timestamp(run.at), "outcome": str(run.outcome)}
    return told | {key: value for key, value in (("job", run.job), ("note", run.note)) if value}


async def _failed(request: Request, error: Exception) -> Response:  # noqa: ARG001 - the framework's signature
    assert isinstance(error, SpringtideError)
    return PlainTextResponse(str(error), 502 if isinstance(error, Blind) else status_of(error))
