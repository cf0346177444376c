"""Three functions in a whole suite that may take less memory together than they do: the least worthy sleeps."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

HELD_MIB = 60
HANDLER = f"""
import threading
held, told = bytearray(b"x") * ({HELD_MIB} << 20), threading.Event()

def handle(event, context):
    if event.path == "/wait":
        told.wait(300)
    if event.path == "/go-on":
        told.set()
    return "done"
"""
LABELS = {"zero": "true", "zero_duration": "1h"}
QUICK = {"sleep_interval": "500ms", "function_usage_interval": "500ms"}


def test_the_least_worthy_sleeps_for_memory_and_one_in_flight_never_does(start_suite: Any, tmp_path: Path) -> None:
    handler = tmp_path / "handler"
    handler.mkdir()
    (handler / "handler.py").write_text(HANDLER)
    bound = f"{int(2.9 * HELD_MIB)}Mi"
    with (
        start_suite(tmp_path / "state", "--fast", "--no-samples", sleep_memory=bound, **QUICK) as suite,
        ThreadPoolExecutor(1) as beside,
        suite.client() as client,
    ):
        for name in ("busy", "rare", "often"):
            suite.deploy(name, handler, **LABELS)
        waiting = beside.submit(client.get, "/function/busy/wait", timeout=300)
        # In this order: what is known of the one is never less than what is known of the other.
        assert client.get("/function/rare").text == "done"
        for _ in range(20):
            assert client.get("/function/often").text == "done"

        suite.eventually(lambda: suite.replicas("rare") == 0, "the least worthy sleeps", 120)
        told = suite.springtide("explain", "rare").stdout
        assert client.get("/function/busy/go-on").text == "done"
        assert (waiting.result().status_code, waiting.result().text) == (200, "done")

        changes = {
            name: [each["reason"] for each in suite.decisions(name) if each["after"] == 0 < each["before"]]
            for name in ("busy", "rare", "often")
        }
    assert changes == {"busy": [], "rare": ["memory_pressure"], "often": []}, told
    assert "MiB that they may; of those that are idle it is worth least for its " in told
