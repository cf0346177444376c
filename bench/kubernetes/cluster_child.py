"""The emulated cluster as a process: told what to do by lines of JSON, answers each with one."""

from __future__ import annotations

import asyncio
import inspect
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.kubernetes.emulator import Emulator, EmulatorSettings, Image

LISTENER = (sys.executable, "-S", str(Path(__file__).parent / "listener.py"))
IMAGES = {"bench/listener": Image(command=LISTENER), "bench/nothing": Image(process=False), "bench/echo": Image()}


Deed = Callable[[Emulator, dict[str, Any]], Any]

DEEDS: dict[str, Deed] = {
    "cut": lambda cluster, _: cluster.faults.cut_watches(),
    "fail": lambda cluster, order: cluster.faults.fail_next(order["times"], **order["how"]),
    "leave": lambda cluster, _: cluster.go_away(),
    "return": lambda cluster, _: cluster.come_back(),
    "clear": lambda cluster, _: cluster.requests.clear(),
    "count": lambda cluster, order: cluster.requests.count(**order["what"]),
    "count-pods": lambda cluster, _: len(cluster.objects("pods")),
    "replicas": lambda cluster, _: {
        item["metadata"]["name"]: item["spec"]["replicas"] for item in cluster.objects("deployments")
    },
}


async def obey(cluster: Emulator, order: dict[str, Any]) -> Any:
    done = DEEDS[order["do"]](cluster, order)
    return await done if inspect.isawaitable(done) else done


async def main(kubeconfig: Path, settings: dict[str, Any]) -> None:
    async with Emulator(EmulatorSettings(**settings), images=IMAGES) as cluster:
        cluster.write_kubeconfig(kubeconfig)
        tell({"url": cluster.url})
        orders = asyncio.StreamReader()
        loop = asyncio.get_running_loop()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
        while line := await orders.readline():
            tell({"answer": await obey(cluster, json.loads(line))})


def tell(value: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), json.loads(sys.argv[2])))
