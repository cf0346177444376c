"""The emulator as a process: ``python -m tests.kubernetes.emulator --kubeconfig FILE``; prints when it is ready."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import click
import yaml

from tests.kubernetes.emulator.cluster import Emulator
from tests.kubernetes.emulator.settings import EmulatorSettings, Image


@click.command()
@click.option("--kubeconfig", type=click.Path(path_type=Path), required=True, help="Where to write how to reach it.")
@click.option("--host", default="127.0.0.1", help="Address to listen at.")
@click.option("--port", default=0, help="Port to listen at; 0 takes a free one.")
@click.option("--image", "images", multiple=True, help="NAME=FOLDER of a Python handler, or NAME= for the watchdog.")
@click.option("--any-image", is_flag=True, help="Images that are not named run the watchdog instead of failing.")
@click.option("--apply", "manifests", multiple=True, type=click.Path(path_type=Path), help="YAML to create at start.")
def main(
    kubeconfig: Path, host: str, port: int, images: tuple[str, ...], any_image: bool, manifests: tuple[Path, ...]
) -> None:
    """Serve until told to end. Pods need ``python -m tests.kubernetes.pod_network`` in front for their addresses."""
    known = dict(_image(text) for text in images)
    settings = EmulatorSettings(host=host, port=port, default_image=Image() if any_image else None)
    asyncio.run(_serve(settings, known, kubeconfig, manifests))


async def _serve(
    settings: EmulatorSettings, images: dict[str, Image], kubeconfig: Path, manifests: tuple[Path, ...]
) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with Emulator(settings, images=images) as cluster:
        for path in manifests:
            for manifest in yaml.safe_load_all(path.read_text()):
                if manifest:
                    cluster.create(manifest)
        cluster.write_kubeconfig(kubeconfig)
        click.echo(f"ready: {cluster.url}")
        await stop.wait()


def _image(text: str) -> tuple[str, Image]:
    name, equals, folder = text.rpartition("=")
    if not equals:
        raise click.BadParameter(f"{text!r}: write NAME=FOLDER")
    return name, Image(handler=Path(folder).absolute() if folder else None)


main()
