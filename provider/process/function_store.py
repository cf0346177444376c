"""Functions that can be deployed by their name alone: programs of this machine, and small handlers of our own.

Served in the form of OpenFaaS's store (version 2), which ``faas-cli store`` reads from any address.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

BUILTIN = Path(__file__).parent / "builtin"
OWNER = "springtide"
PLATFORMS = ("x86_64", "arm64", "armhf")
"""An image here is a name: it is the same on each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreFunction:
    """Runs ``command`` for each call, or the handler of ours with its name."""

    name: str
    title: str
    description: str
    command: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def image(self) -> str:
        return f"{OWNER}/{self.name}"

    @property
    def handler(self) -> Path | None:
        return None if self.command else BUILTIN / self.name.replace("-", "_")

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "title": self.title,
            "description": self.description,
            "author": OWNER,
            "icon": "",
            "fprocess": self.command,
            "repo_url": "",
            "readOnlyRootFilesystem": False,
            "environment": dict(self.environment),
            "labels": dict(self.labels),
            "annotations": {},
            "images": dict.fromkeys(PLATFORMS, f"{self.image}:latest"),
        }


FUNCTIONS = (
    StoreFunction(name="nodeinfo", title="Node info", description="What the machine is that it runs on, as JSON."),
    StoreFunction(
        name="request-info",
        title="Request info",
        description="Method, path, query, headers and body of the call, as JSON: what a webhook really sends.",
    ),
    StoreFunction(
        name="sleep",
        title="Sleep",
        description="Waits for ?for=250ms (or the header X-Sleep), then answers: to try out scaling and time-outs.",
        environment={"sleep_duration": "2s"},
    ),
    StoreFunction(
        name="http-status",
        title="HTTP status",
        description="Answers /503 with 503: to try out alerts and retries.",
    ),
    StoreFunction(
        name="cpu-burn", title="CPU burn", description="Keeps a processor busy for ?ms=100: to try out limits and load."
    ),
    StoreFunction(
        name="certinfo",
        title="TLS certificate",
        description="Who the certificate of the host in the body is for, who signed it, and how long it is good.",
    ),
    StoreFunction(name="uuid", title="UUIDs", description="Random identifiers, as many as ?count= says."),
    StoreFunction(name="cat", title="Echo", description="Answers with the body.", command="cat"),
    StoreFunction(
        name="env",
        title="Environment",
        description="The function's environment: headers of the call (Http_…), its variables, its name.",
        command="env",
    ),
    StoreFunction(name="sha512sum", title="SHA-512", description="The SHA-512 sum of the body.", command="sha512sum"),
    StoreFunction(name="base64", title="Base64", description="The body in base64.", command="base64 -w 0"),
    StoreFunction(name="word-count", title="Word count", description="How many words the body has.", command="wc -w"),
    StoreFunction(
        name="rot13",
        title="ROT13",
        description="The body with its letters turned by 13.",
        command="tr A-Za-z N-ZA-Mn-za-m",
    ),
    StoreFunction(
        name="sort-lines", title="Sort lines", description="The body's lines in order, each once.", command="sort -u"
    ),
    StoreFunction(name="jq", title="jq", description="Checks and formats the JSON in the body.", command="jq ."),
    StoreFunction(name="figlet", title="figlet", description="The body in letters made of letters.", command="figlet"),
)
"""All there are; those whose program this machine lacks are left out."""


def of_image(repository: str) -> StoreFunction | None:
    """The function whose image has this repository: no tag, no registry."""
    return next((function for function in FUNCTIONS if function.image == repository), None)


def on(search: str) -> Iterator[StoreFunction]:
    """Those that run where programs are found on ``search``, as PATH."""
    for function in FUNCTIONS:
        if not function.command or shutil.which(function.command.split()[0], path=search) is not None:
            yield function


def document(search: str) -> dict[str, Any]:
    """The store as ``faas-cli`` reads it."""
    return {"version": "0.2.0", "functions": [function.to_json() for function in on(search)]}
