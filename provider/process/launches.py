"""From what a function asks to be to what a replica of it runs. Everything that cannot work is refused here."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from springtide.provider import isolation
from springtide.provider.annotation_table import READY
from springtide.provider.isolation import Isolation
from springtide.provider.machine.records import FunctionRecord, Pinned
from springtide.provider.machine.state_files import StateFiles
from springtide.provider.process import default_bounds, function_store
from springtide.provider.process.environments import Environment
from springtide.provider.process.host_protocol import Hello, Launch
from springtide.provider.process.settings import ProcessSettings
from springtide.provider.spec import FunctionSpec
from springtide.runtime import quantities
from springtide.runtime.errors import BadInput
from springtide.scaler.core.label_names import HANDLER, LANG
from springtide.scaler.core.label_table import ISOLATION
from springtide.watchdog import config
from springtide.watchdog.config import WatchdogConfig

RUN_IMAGES = (
    "run images beside processes: `springtide up --provider process,containers`, which needs the socket of Docker or "
    "Podman"
)
SECRETS_VARIABLE, SECRETS_VARIABLE_OPENFAAS = "SPRINGTIDE_SECRETS", "secret_mount_path"
BUILTIN = Path(__file__).parent / "builtin"


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionProgram:
    """What every replica of one generation has in common."""

    config: WatchdogConfig
    env: dict[str, str]
    handler: str | None
    memory_bytes: int | None
    cpu_millis: int | None
    folder: str | None = None
    """With the code, where it was pinned."""
    lang: str = ""
    """The template by whose convention a handler is called."""
    python: str = ""
    """The interpreter of its environment."""
    programs: str = ""
    """The folder with the programs of its environment, where that is its own."""

    def search_path(self, usual: str) -> str:
        """Where it finds programs: as in a container, ``python`` is the one with its packages."""
        return f"{self.programs}{os.pathsep}{usual}" if self.programs else usual


@dataclass(frozen=True, slots=True)
class Placed:
    """Where what was pinned is on this machine."""

    pinned: Pinned
    code: Path | None
    environment: Environment


def source_folder(spec: FunctionSpec) -> Path | None:
    """The folder that is deployed: the annotation's, or that of an image we stand in for. Raises BadInput."""
    image = known_image(spec.image)
    if image is not None and image.handler is not None:
        return image.handler
    folder = spec.annotations.get(HANDLER)
    if not folder:
        return None
    if not Path(folder).is_absolute():
        raise BadInput(f"annotation {HANDLER}={folder!r}: write an absolute path")
    return Path(folder)


def program(spec: FunctionSpec, placed: Placed | None = None) -> FunctionProgram:
    """Raises BadInput listing everything wrong, one problem a line.

    Without ``placed`` it is what can be said before anything is pinned: a handler is then where it comes from.
    """
    problems: list[str] = []
    pinned = placed.pinned if placed is not None else Pinned()
    folder = (placed.code if placed is not None else None) or source_folder(spec)
    handler = str(folder) if folder is not None and not pinned.command else None
    command = pinned.command if spec.env_process in ("", pinned.said) else spec.env_process
    env = {"fprocess": command, **pinned.variables, **_asked_when_ready(spec), **spec.env_vars}
    lang = pinned.lang if placed is not None else spec.annotations.get(LANG, "")
    settings, wrong = config.read(env, handler, lang)
    missing = any(problem.startswith("fprocess: missing") for problem in wrong)
    if not handler and missing and settings.mode is config.Mode.CLASSIC:
        wrong = (*(problem for problem in wrong if not problem.startswith("fprocess: missing")), _nothing_to_run(spec))
    problems += wrong
    limits = quantities.read("limits", spec.limits, problems)
    quantities.read("requests", spec.requests, problems)
    if problems:
        raise BadInput("\n".join(problems))
    return FunctionProgram(
        config=settings,
        env={name: value for name, value in env.items() if value or name != "fprocess"},
        handler=handler,
        memory_bytes=limits.get("memory"),
        cpu_millis=limits.get("cpu"),
        folder=str(folder) if folder is not None else None,
        lang=lang,
        python=str(placed.environment.python) if placed is not None else "",
        programs=str(placed.environment.python.parent) if placed is not None and pinned.environment else "",
    )


def launch(
    record: FunctionRecord,
    wanted: FunctionProgram,
    instance: str,
    *,
    settings: ProcessSettings,
    files: StateFiles,
    shown: tuple[tuple[str, str], ...] = (),
) -> Launch:
    """One replica of the record's generation; ``shown`` is what it sees within walls, where it has them."""
    secrets = files.mount(record)
    own = _environment(record.spec, settings, instance=instance, secrets=secrets)
    own["PATH"] = wanted.search_path(own["PATH"])
    return Launch(
        instance=instance,
        function=str(record.ref),
        uid=record.uid,
        generation=record.generation,
        env=own | wanted.env,
        folder=wanted.folder or str(files.work(record)),
        python=wanted.python,
        handler=wanted.handler,
        lang=wanted.lang,
        work_folder=str(files.work(record)),
        log_folder=str(files.log(record)),
        log_limit_bytes=settings.log_limit_bytes,
        secrets_folder=str(secrets),
        has_secrets=bool(record.spec.secrets),
        stage_folder=str(files.folder / "stage"),
        read_only=record.spec.read_only_root_filesystem,
        memory_bytes=memory_limit(wanted, settings),
        cpu_millis=wanted.cpu_millis,
        processes=settings.replica_processes or None,
        linger_s=settings.linger_s,
        grace_s=settings.grace_s,
        sandbox=isolation.of(record.spec.labels, settings.default_isolation) is Isolation.SANDBOX,
        shown=shown,
        scratch_bytes=settings.scratch_bytes,
    )


def memory_limit(wanted: FunctionProgram, settings: ProcessSettings) -> int | None:
    """What the function asked for, else the bound that protects the machine."""
    return wanted.memory_bytes or default_bounds.memory_bytes(settings.replica_memory)


def below_minimum(spec: FunctionSpec, settings: ProcessSettings, hello: Hello | None = None) -> str:
    """Why it may not start: it would have fewer walls than the suite asks for. Empty where it has them all."""
    asked = f"function_isolation_minimum={settings.isolation_minimum}"
    if settings.isolation_minimum == Isolation.NONE:
        return ""
    if isolation.of(spec.labels, settings.default_isolation) is Isolation.NONE:
        said = spec.labels.get(ISOLATION, "").strip()
        of_label, of_suite = f"label {ISOLATION}={said!r}", f"function_isolation={settings.default_isolation}"
        return f"{of_label if said else of_suite}: {asked} allows no function without walls; leave it out"
    if hello is not None and hello.missing_walls:
        lacks = "; ".join(f"{wall}: {why}" for wall, why in hello.missing_walls.items())
        return f"{asked}, and this machine has not all walls ({lacks}); `springtide doctor` says what to do"
    return ""


def not_enforced(spec: FunctionSpec, settings: ProcessSettings, hello: Hello) -> list[str]:
    """What was asked for and this machine cannot fully give, a sentence each."""
    if isolation.of(spec.labels, settings.default_isolation) is Isolation.SANDBOX and hello.missing_walls:
        lacks = "; ".join(f"{wall}: {why}" for wall, why in hello.missing_walls.items())
        remarks = [f"the sandbox is not whole: {lacks}"]
    else:
        remarks = []
    if spec.limits.get("memory") and not hello.limits_memory:
        remarks.append(
            f"memory limit {spec.limits['memory']} is enforced by measuring and ending the replica, so a short peak "
            "can pass: no cgroup v2 subtree with a memory controller can be written here"
        )
    if spec.limits.get("cpu") and not hello.limits_cpu:
        remarks.append(
            f"cpu limit {spec.limits['cpu']} is not enforced: no cgroup v2 subtree with a cpu controller can be "
            "written here"
        )
    if hello.sandbox_problem and spec.read_only_root_filesystem:
        remarks.append(f"the root file system is not read-only: no mount namespace ({hello.sandbox_problem})")
    if hello.sandbox_problem and spec.secrets:
        remarks.append(
            f"secrets are not at /var/openfaas/secrets but in the folder that ${SECRETS_VARIABLE} names: no mount "
            f"namespace ({hello.sandbox_problem})"
        )
    return remarks


def _environment(spec: FunctionSpec, settings: ProcessSettings, *, instance: str, secrets: Path) -> dict[str, str]:
    """Nothing of the provider's environment but what every program needs; the function's own variables go on top."""
    env = {
        "PATH": settings.path,
        "HOME": settings.home,
        "LANG": settings.lang,
        "HOSTNAME": instance,
        "OPENFAAS_NAME": spec.ref.name,
        "OPENFAAS_NAMESPACE": spec.ref.namespace,
        SECRETS_VARIABLE: str(secrets),
        SECRETS_VARIABLE_OPENFAAS: str(secrets),
    }
    return env | ({"TZ": settings.tz} if settings.tz else {})


def handler_missing(spec: FunctionSpec, folder: str | None) -> str:
    """Why a Python handler cannot be loaded from its folder; empty where nothing speaks against it."""
    if folder is None or (Path(folder) / "handler.py").is_file():
        return ""
    if folder == spec.annotations.get(HANDLER):
        return f"annotation {HANDLER}={folder!r}: there is no handler.py in it"
    return f"there is no handler.py in {folder}, the copy that was deployed; deploy the function again"


def _asked_when_ready(spec: FunctionSpec) -> dict[str, str]:
    """The watchdog asks what a kubelet would. Its own paths it answers anyway, for as long as it lives."""
    path = spec.annotations.get(f"{READY}path", "").strip()
    return {"ready_path": path} if path and not path.startswith("/_/") else {}


def _nothing_to_run(spec: FunctionSpec) -> str:
    image = known_image(spec.image)
    if image is not None:
        return f"image {spec.image} {image.does}: name the command as envProcess or in the variable fprocess"
    return (
        f"image {spec.image}: images are not fetched when functions run as processes; name the command to run as "
        f"envProcess or in the variable fprocess, deploy a Python handler from a stack.yaml, or {RUN_IMAGES}"
    )


@dataclass(frozen=True, slots=True)
class KnownImage:
    """``handler``: a Python handler of ours that does what the image does; else the image runs ``fprocess``."""

    does: str
    handler: Path | None = None


_IMAGES = {
    "functions/alpine": KnownImage("runs any command"),
    "openfaas/alpine": KnownImage("runs any command"),
    "theaxer/redirector": KnownImage("redirects to the environment variable destination", BUILTIN / "redirector"),
}


def known_image(image: str) -> KnownImage | None:
    """The image by its repository: registry, tag and digest do not matter."""
    repository = image.partition("@")[0]
    head, slash, last = repository.rpartition("/")
    repository = head + slash + last.partition(":")[0]
    for registry in ("docker.io/", "ghcr.io/"):
        repository = repository.removeprefix(registry)
    stored = function_store.of_image(repository)
    if stored is not None:
        return KnownImage("is of the store and runs a command of this machine", stored.handler)
    return _IMAGES.get(repository)
