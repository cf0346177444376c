"""A question to a server that answers in JSON: asked once, within a deadline, and whatever is wrong in one sentence."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

import httpx

from springtide.runtime import bounded_json
from springtide.runtime.basic_auth import Credentials
from springtide.runtime.errors import Unavailable, reason_of

NONSENSE = (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError)
"""What reading an answer of another shape raises."""


class JsonApi:
    """Does not retry. Raises Unavailable only."""

    def __init__(
        self,
        name: str,
        http: httpx.AsyncClient,
        url: str,
        *,
        deadline_s: float,
        credentials: Credentials | None = None,
    ) -> None:
        """``name`` is what the sentences call the server, which is shown the ``credentials``, if there are any."""
        self._headers = {} if credentials is None else {"Authorization": credentials.header}
        self._name = name
        self._http = http
        self.url = url.rstrip("/")
        self._deadline_s = deadline_s

    def __repr__(self) -> str:
        return f"<JsonApi {self._name} {self.url}>"

    async def get(self, path: str, params: Mapping[str, str | int | Sequence[str]] | None = None) -> Any:
        """The JSON value at ``path``."""
        try:
            async with asyncio.timeout(self._deadline_s):
                response = await self._http.get(
                    f"{self.url}{path}",
                    params=dict(params or {}),
                    headers=self._headers,
                    timeout=self._deadline_s,
                )
        except (TimeoutError, httpx.TimeoutException) as error:
            raise Unavailable(f"{self._name} at {self.url} did not answer within {self._deadline_s:g} s") from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise Unavailable(f"{self._name} at {self.url} cannot be asked: {reason_of(error)}") from error
        if response.status_code == 401:
            raise Unavailable(f"{self._name} refuses our credentials (401); see monitoring_secret_path")
        if response.status_code != 200:
            raise Unavailable(f"{self._name} answered {response.status_code}: {_told(response)}")
        try:
            return bounded_json.loads(response.content)
        except ValueError as error:
            raise self.senseless(error) from error

    def senseless(self, error: Exception) -> Unavailable:
        """For an answer of another shape."""
        return Unavailable(f"{self._name}'s answer makes no sense: {error!r:.200}")


def _told(response: httpx.Response) -> str:
    """What the server itself says is wrong, where it says so in JSON."""
    with contextlib.suppress(*NONSENSE):
        return str(bounded_json.loads(response.content)["error"])[:200]
    return response.text[:200]
