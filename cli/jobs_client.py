"""A gateway's asynchronous calls, as the command line uses them."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from urllib.parse import quote

import httpx

from springtide.cli.gateway_client import GatewayClient, Json, Pairs
from springtide.runtime.errors import AlreadyExists, BadInput, NotFound, Unavailable
from springtide.wire.jobs.job import FINAL
from springtide.wire.jobs.job_id import OF_CALLBACK, place_of
from springtide.wire.jobs.status_json import MAX_BODY, TRUNCATED, body_of

WAIT_S = 20.0
"""Of one look; who waits longer looks again."""

IMPORT_S = 600.0
"""How long a gateway may take to store what is sent at once."""

AWAY_S = 30.0
"""How long who waits bears with a gateway, or its broker, that is away."""

PAUSE_S = 0.5
PAGE = 500
ACCEPTED = 202


class JobsClient:
    def __init__(self, gateway: GatewayClient) -> None:
        self._gateway = gateway

    def __repr__(self) -> str:
        return f"<JobsClient over {self._gateway!r}>"

    def begin(self, name: str, *, method: str, query: Pairs, headers: Pairs, body: bytes) -> str:
        """Call a function asynchronously; the call's id."""
        path = "/async-function"
        if method != "POST":
            path, headers = "/function", (*headers, ("Prefer", "respond-async"))
        with self._gateway.invoke(name, method=method, query=query, headers=headers, body=body, path=path) as response:
            response.read()
            if response.status_code != ACCEPTED or "x-call-id" not in response.headers:
                said = response.text.strip()[:2000] or response.reason_phrase
                answered = f"{self._gateway.url} answered {response.status_code}: {said}"
                raise Unavailable(f"the call was not accepted: {answered}")
            return str(response.headers["x-call-id"])

    def story(self, job_id: str) -> Json:
        """A call by its id; by that of its callback's dead letter, too, or that letter where the call is forgotten."""
        try:
            return self.job(job_id.removesuffix(OF_CALLBACK))
        except NotFound:
            if not job_id.endswith(OF_CALLBACK):
                raise
            return self.letter(job_id)

    def jobs(self, query: Mapping[str, str]) -> tuple[list[Json], bool]:
        """And whether these are all that were asked for."""
        answer = self._gateway.json("GET", "/system/jobs", params=dict(query))
        return list(answer["jobs"]), bool(answer["complete"])

    def job(self, job_id: str) -> Json:
        """Raises NotFound."""
        return self._look(job_id, 0.0)

    def answer(self, job: Json) -> tuple[bytes, bool]:
        """The body of the answer to a call that has ended, as it was kept, and whether that is all of it."""
        answer = job.get("answer")
        if not answer:
            return b"", True
        body = body_of(answer)
        if not answer["truncated"] or answer["size"] <= MAX_BODY:
            return body, not answer["truncated"]
        with self._gateway.answered("GET", f"{_path(job['id'])}/result") as response:
            return response.read(), TRUNCATED not in response.headers

    def ended(self, job_id: str, timeout_s: float) -> Json:
        """Once it has ended. Raises Unavailable when it has not by then, or nobody knows for ``AWAY_S``."""
        end = time.monotonic() + timeout_s
        heard = time.monotonic()
        while True:
            wait_s = max(0.0, min(WAIT_S, end - time.monotonic()))
            try:
                job = self._look(job_id, wait_s)
            except Unavailable:
                if time.monotonic() > min(heard + AWAY_S, end):
                    raise
                time.sleep(PAUSE_S)  # a gateway or a broker that starts anew
                continue
            heard = time.monotonic()
            if job["state"] in FINAL:
                return job
            if time.monotonic() >= end:
                raise Unavailable(f"{job_id} is {job['state']} still; it goes on: springtide jobs wait {job_id}")

    def _look(self, job_id: str, wait_s: float) -> Json:
        params = {"wait": f"{wait_s:.3f}"} if wait_s else {}
        with _said():
            return dict(self._gateway.json("GET", _path(job_id), params=params))

    def cancel(self, job_id: str) -> Json:
        """Raises AlreadyExists where it has ended."""
        try:
            with _said():
                return dict(self._gateway.json("DELETE", _path(job_id)))
        except AlreadyExists as error:
            raise AlreadyExists(f"{job_id} has ended already: it is {self.job(job_id)['state']}") from error

    def queues(self) -> Json:
        return dict(self._gateway.json("GET", "/system/queues"))

    def export(self, queue: str) -> Iterator[bytes]:
        """Lines, without their ends. Raises NotFound."""
        path = f"/system/queues/{quote(queue, safe='')}/export"
        with _said("; springtide queue list shows those there are"), self._gateway.stream("GET", path) as response:
            waiting = b""
            for chunk in response.iter_raw():
                *whole, waiting = (waiting + chunk).split(b"\n")
                yield from whole
            if waiting:
                yield waiting

    def take_in(self, lines: bytes) -> Json:
        """What of them came, and what was there already."""
        timeout = httpx.Timeout(IMPORT_S, connect=5.0)
        return dict(self._gateway.json("POST", "/system/queues/import", content=lines, timeout=timeout))

    def letters(self, query: Mapping[str, str]) -> Iterator[Json]:
        """Page after page."""
        after: str | None = ""
        while after is not None:
            params = {**query, "limit": str(PAGE), **({"after": after} if after else {})}
            answer = self._gateway.json("GET", "/system/dead-letters", params=params)
            yield from answer["letters"]
            after = answer["next"]

    def letter(self, letter_id: str) -> Json:
        """Raises NotFound, as do those below."""
        with _said("; springtide dead list shows those there are"):
            return dict(self._gateway.json("GET", _letter_path(letter_id)))

    def retry(self, letter_id: str) -> httpx.Response:
        with _said("; springtide dead list shows those there are"):
            return self._gateway.request("POST", _letter_path(letter_id) + "/retry")

    def purge(self, letter_id: str) -> httpx.Response:
        with _said("; springtide dead list shows those there are"):
            return self._gateway.request("DELETE", _letter_path(letter_id))


@contextlib.contextmanager
def _said(remedy: str = "") -> Iterator[None]:
    """A sentence of our gateways about what is not there, with what to do; of others it is told who said it."""
    try:
        yield
    except NotFound as error:
        sentence = str(error).partition(" answered 404: ")[2]
        if not sentence.startswith(("there is no ", "the ")):
            raise
        raise NotFound(sentence + remedy) from error


def _path(job_id: str) -> str:
    """Raises BadInput for what is no id at all."""
    if place_of(job_id.removesuffix(OF_CALLBACK)) is not None and job_id.endswith(OF_CALLBACK):
        raise BadInput(f"{job_id} is the dead letter of a callback: springtide jobs show {job_id}")
    if place_of(job_id) is None:
        raise BadInput(f"{job_id[:80]!r} is no id of a call; springtide jobs list shows those there are")
    return f"/async-function/{quote(job_id, safe='')}"


def _letter_path(letter_id: str) -> str:
    return f"/system/dead-letters/{quote(letter_id, safe='')}"
