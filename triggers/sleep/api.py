"""``POST /system/sleep`` of the part that learns. A copy that does not answers 503: the next one is to be asked."""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import Response

from springtide.runtime.asgi import bounded_body
from springtide.runtime.errors import BadInput, Unavailable
from springtide.runtime.routes import Routes
from springtide.scaler.core.keepalive.pressure import Worth
from springtide.scaler.core.keepalive.rule import NotLearned
from springtide.scaler.core.learned_silence import LearnedSilence
from springtide.scaler.core.ports import Clock
from springtide.scaler.core.vocabulary import FunctionRef
from springtide.triggers.sleep.learning import Learning
from springtide.wire import learned_sleep
from springtide.wire.learned_sleep import MAX_BODY_BYTES, PATH

AT_ONCE = 200
"""Plans that are made before others in this process get their turn."""
STANDBY = "another copy learns, or what was learned has not been read yet; try again"


class SleepApi:
    def __init__(self, learning: Learning, clock: Clock) -> None:
        self._learning, self._clock = learning, clock

    def __repr__(self) -> str:
        return f"<SleepApi over {self._learning!r}>"

    def add_to(self, routes: Routes) -> None:
        """Raises within it become answers as those of the other routes do."""

        @routes.post(PATH)
        async def sleep(request: Request) -> Response:
            body = await bounded_body(request.stream(), MAX_BODY_BYTES)
            if body is None:
                raise BadInput(f"a question has at most {MAX_BODY_BYTES} bytes; name fewer functions")
            try:
                refs = learned_sleep.asked(body)
            except (KeyError, TypeError, ValueError) as error:
                raise BadInput(f'write {{"functions": ["NAME.NAMESPACE", …]}}: {error}') from error
            if not self._learning.learns:
                raise Unavailable(STANDBY)
            told: dict[FunctionRef, LearnedSilence | NotLearned] = {}
            worths: dict[FunctionRef, Worth] = {}
            for begin in range(0, len(refs), AT_ONCE):
                told |= self._learning.silences(refs[begin : begin + AT_ONCE])
                worths |= self._learning.worths(refs[begin : begin + AT_ONCE])
                await asyncio.sleep(0)
            content = await asyncio.to_thread(learned_sleep.encode, told, worths, self._clock.wall())
            return Response(content, media_type="application/json", headers={"cache-control": "no-store"})
