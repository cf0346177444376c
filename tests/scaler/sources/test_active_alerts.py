"""What Alertmanager and Prometheus say fires, over real sockets; and every way in which that is not known."""

from __future__ import annotations

import json

import pytest

from springtide.scaler.core.alert_review import ActiveAlert, ActiveAlerts
from springtide.scaler.core.vocabulary import FunctionRef, Instant, NoData
from springtide.scaler.sources.active_alerts import KnownAlerts
from tests.fakes.http import HttpServer

ECHO, MAIL = FunctionRef("openfaas-fn", "echo"), FunctionRef("team", "mail")
NOW = Instant(100)
OF_ECHO = {"alertname": "High", "function_name": "echo.openfaas-fn"}
OF_MAIL = {"alertname": "High", "function_name": "mail.team"}


def vector(*metrics: dict[str, str]) -> bytes:
    return json.dumps({"data": {"result": [{"metric": metric, "value": [1, "1"]} for metric in metrics]}}).encode()


def alerts(*labels: dict[str, str]) -> bytes:
    return json.dumps(
        [{"fingerprint": "aa", "labels": one, "status": {"state": "suppressed"}} for one in labels]
    ).encode()


async def known(alertmanager: tuple[int, bytes], prometheus: tuple[int, bytes]) -> ActiveAlerts | NoData:
    """The answer when each of them says this."""

    async def answer(path: str) -> tuple[int, bytes]:
        return alertmanager if path.startswith("/am/api/v2/alerts") else prometheus

    server = HttpServer(answer)
    await server.start()
    url = f"http://127.0.0.1:{server.port}"
    source = KnownAlerts(f"{url}/am/", prometheus_url=f"{url}/prom", deadline_s=5.0)
    try:
        return await source.active(NOW)
    finally:
        await source.aclose()
        await server.stop()


async def test_what_either_says_fires_is_known_to_fire() -> None:
    told = await known((200, alerts(OF_ECHO, {"alertname": "x", "function_name": "."})), (200, vector(OF_MAIL)))

    assert told == ActiveAlerts(NOW, {ECHO: [ActiveAlert(ECHO, OF_ECHO, "aa")], MAIL: [ActiveAlert(MAIL, OF_MAIL)]})


async def test_nothing_fires_when_both_say_so() -> None:
    assert await known((200, b"[]"), (200, vector())) == ActiveAlerts(NOW)


@pytest.mark.parametrize(
    ("alertmanager", "prometheus", "why"),
    [
        pytest.param((503, b"starting"), (200, vector()), "Alertmanager answered 503: starting", id="one is starting"),
        pytest.param((200, b"[]"), (500, b""), "Prometheus answered 500", id="the other fails"),
        pytest.param((200, b"{"), (200, vector()), "Alertmanager's answer makes no sense", id="not JSON"),
        pytest.param((200, b"[7]"), (200, vector()), "Alertmanager's answer makes no sense", id="no alerts"),
        pytest.param((200, b'{"a": 1}'), (200, vector()), "Alertmanager's answer makes no sense", id="an object"),
        pytest.param((200, b"[]"), (200, b"null"), "Prometheus's answer makes no sense", id="null"),
    ],
)
async def test_what_one_of_them_does_not_say_is_not_known(
    alertmanager: tuple[int, bytes], prometheus: tuple[int, bytes], why: str
) -> None:
    told = await known(alertmanager, prometheus)

    assert isinstance(told, NoData)
    assert told.why.startswith(why)


async def test_nobody_there_is_not_known() -> None:
    source = KnownAlerts("http://127.0.0.1:1")
    try:
        told = await source.active(NOW)
    finally:
        await source.aclose()

    assert isinstance(told, NoData)
    assert "Alertmanager at http://127.0.0.1:1 cannot be asked" in told.why
