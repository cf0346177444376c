"""The pages: HTML around the first data, which their scripts keep up to date."""

from __future__ import annotations

from dataclasses import asdict
from functools import cached_property
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import HTMLResponse

from springtide.console import deployments, sleep_curve, view
from springtide.console.assets import CHARTS, Assets
from springtide.console.decisions import Decisions
from springtide.console.functions import FunctionInfo
from springtide.console.gateway_poller import GatewayPoller
from springtide.console.guard import Guard
from springtide.console.health import Probes
from springtide.console.history import SLOTS
from springtide.console.invocation import METHODS
from springtide.console.prometheus import RANGES
from springtide.console.queues import Queues
from springtide.console.streams import Board
from springtide.console.triggers import Triggers
from springtide.console.view import Json
from springtide.console.what_if import SPANS, suggestions
from springtide.scaler.core.vocabulary import FunctionRef
from springtide.wire.jobs.job import JobState

if TYPE_CHECKING:
    from jinja2 import Environment

NO_CHARTS = "Charts need the Python package litecharts; install it and restart the console. All numbers are here."


EMPTY = FunctionInfo(ref=FunctionRef("", ""))


class Pages:
    def __init__(self, assets: Assets, guard: Guard, board: Board, watch: GatewayPoller, decisions: Decisions) -> None:
        self._assets = assets
        self._guard = guard
        self._board = board
        self._watch = watch
        self._decisions = decisions

    def functions(self, request: Request) -> HTMLResponse:
        return self._page(request, "functions", {"tick": self._board.tick({}, None), "step": self._watch.step_s})

    def function(self, request: Request, info: FunctionInfo, *, long_history: bool) -> HTMLResponse:
        told = self._decisions.of(info.key)
        seen = self._watch.seen.get(info.key)
        triggers = view.triggers(info)
        data = {
            "key": info.key,
            "tick": self._board.tick({}, info.key),
            "step": self._watch.step_s,
            "history": view.history(info.key, self._watch, live_slots(self._watch)),
            "decisions": [view.decision(one) for one in told],
            "after": self._decisions.number,
            "cold": [view.cold_start(number, cold) for number, cold in (seen.cold if seen is not None else ())],
            "limits": view.limits(info),
            "triggers": {"scheduled": bool(triggers["schedules"]), "wants": bool(triggers["topics"])},
        }
        ranges = list(RANGES) if long_history else []
        shown = _configuration(info)
        more: dict[str, Any] = {
            "info": info,
            "limits": data["limits"],
            "triggers": triggers,
            "methods": METHODS,
            "ranges": ranges,
            "configuration": shown,
            "spans": SPANS if long_history else (),
            "policies": suggestions(info.labels),
        }
        return self._page(request, "function", data, **more)

    def deploy(self, request: Request, info: FunctionInfo | None, secrets: list[str]) -> HTMLResponse:
        form = deployments.form(info or EMPTY)
        data = {"update": info is not None, "form": form, "fields": deployments.FIELDS_OF_LABELS}
        return self._page(request, "deploy", data, info=info, form=form, secrets=secrets)

    async def system(self, request: Request, probes: Probes, about: Any) -> HTMLResponse:
        return self._page(request, "system", {**asdict(await probes.health()), **about})

    async def queues(self, request: Request, queues: Queues) -> HTMLResponse:
        return self._page(request, "queues", await queues.seen(), states=list(JobState))

    async def triggers(self, request: Request, triggers: Triggers) -> HTMLResponse:
        return self._page(request, "triggers", await triggers.seen(request.query_params))

    def sleep(self, request: Request, seen: Json) -> HTMLResponse:
        return self._page(request, "sleep", seen, spans=sleep_curve.SPANS)

    def job(self, request: Request, job: Json) -> HTMLResponse:
        return self._page(request, "job", job, job=job)

    def missing(self, request: Request, what: str) -> HTMLResponse:
        return self._page(request, "missing", {}, status=404, what=what)

    def failed(self, request: Request, why: str, *, status: int) -> HTMLResponse:
        return self._page(request, "failed", {}, status=status, why=why)

    def _page(self, request: Request, name: str, data: Any, *, status: int = 200, **more: Any) -> HTMLResponse:
        response = HTMLResponse(status_code=status)
        token = self._guard.token(request, response)
        static = self._assets.folder
        content = self._templates.get_template(f"{name}.html").render(
            page=name,
            static=static,
            charts=f"{static}/{CHARTS}" if self._assets.has_charts else "",
            no_charts="" if self._assets.has_charts else NO_CHARTS,
            token=token,
            data=data,
            **more,
        )
        response.body = content.encode()
        response.headers["content-length"] = str(len(response.body))
        response.headers["cache-control"] = "no-store"
        return response

    @cached_property
    def _templates(self) -> Environment:
        """Made for the first page: a suite whose pages nobody opens takes two megabytes less."""
        import jinja2  # noqa: PLC0415 - see above

        return jinja2.Environment(
            loader=jinja2.PackageLoader("springtide.console"),
            autoescape=jinja2.select_autoescape(default=True),
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )


LIVE_S = 900.0


def live_slots(watch: GatewayPoller) -> int:
    """How many slots the live charts show: a quarter of an hour, or what is kept."""
    return min(SLOTS, round(LIVE_S / watch.step_s))


def _configuration(info: FunctionInfo) -> list[tuple[str, list[tuple[str, str]]]]:
    """What was deployed, in groups; empty ones are left out."""
    groups = [
        ("Environment", sorted(info.env_vars.items())),
        ("Labels", sorted(info.labels.items())),
        ("Annotations", sorted(info.annotations.items())),
        ("Limits", sorted(info.limits.items())),
        ("Requests", sorted(info.requests.items())),
        ("Secrets", [(name, "") for name in info.secrets]),
        ("Constraints", [(text, "") for text in info.constraints]),
    ]
    return [(title, pairs) for title, pairs in groups if pairs]
