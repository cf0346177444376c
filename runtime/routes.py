"""Routes declared beside what answers them, for a Starlette application."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Sequence

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

Answer = Callable[..., Awaitable[Response]]
"""Takes the request, if it has a parameter of that name, and by its other parameters' names parts of the path."""


class Routes:
    """``routes`` in the order in which they were declared, which is the order in which they are looked at."""

    def __init__(self) -> None:
        self.routes: list[Route] = []

    def __repr__(self) -> str:
        return f"<Routes {[route.path for route in self.routes]}>"

    def get(self, path: str) -> Callable[[Answer], Answer]:
        return self.route(path, methods=["GET"])

    def post(self, path: str) -> Callable[[Answer], Answer]:
        return self.route(path, methods=["POST"])

    def put(self, path: str) -> Callable[[Answer], Answer]:
        return self.route(path, methods=["PUT"])

    def delete(self, path: str) -> Callable[[Answer], Answer]:
        return self.route(path, methods=["DELETE"])

    def route(self, path: str, *, methods: Sequence[str]) -> Callable[[Answer], Answer]:
        """These verbs alone: who answers GET does not answer HEAD, unless it says so."""

        def declare(answer: Answer) -> Answer:
            route = Route(path, _endpoint(answer), methods=methods)
            route.methods = set(methods)  # Starlette adds HEAD to GET
            self.routes.append(route)
            return answer

        return declare


def _endpoint(answer: Answer) -> Callable[[Request], Awaitable[Response]]:
    names = set(inspect.signature(answer).parameters)
    takes_request, parts = "request" in names, names - {"request"}

    async def endpoint(request: Request) -> Response:
        given = {name: request.path_params[name] for name in parts}
        return await answer(request=request, **given) if takes_request else await answer(**given)

    return endpoint
