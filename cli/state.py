"""The state folder of one local suite: everything that survives a restart, and where the parts of a running one are.

lock                 held while a suite runs here
run.json             where its parts listen and which processes they are; gone after an orderly stop
secrets/             basic-auth-user, basic-auth-password and payload-secret, and nats-user and nats-password for the
                     server that keeps asynchronous calls; made on the first start
provider/            functions, their secrets, logs and counts (the provider's own)
prometheus/          configuration, rules and data
alertmanager/        configuration and data
nats/                configuration of that server, and the calls it keeps
logs/                what each part wrote
samples-deployed     the samples were deployed once and are the user's since
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import string
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast

from springtide.runtime.basic_auth import PASSWORD_FILE, USER_FILE, Credentials, file_names
from springtide.runtime.errors import BadInput, Unavailable
from springtide.runtime.files import DAMAGED, make_way, read_json, read_whole, set_aside, write_atomic
from springtide.wire.jobs.settings import CREDENTIALS_PREFIX

STATE_VARIABLE = "SPRINGTIDE_STATE_DIR"
USER, NATS_USER, PASSWORD_LENGTH = "admin", "springtide", 32
NATS_USER_FILE, NATS_PASSWORD_FILE = file_names(CREDENTIALS_PREFIX)
PAYLOAD_SECRET_FILE = "payload-secret"  # noqa: S105 - a name
REMEDIES = {
    USER_FILE: ": log in again",
    PASSWORD_FILE: ": log in again",
    PAYLOAD_SECRET_FILE: ": sign builds with that",
    NATS_USER_FILE: "",
    NATS_PASSWORD_FILE: "",
}
"""What is to be done where a file of the secrets is made anew."""

LOCK_TRIES, LOCK_PAUSE_S = 10, 0.02
"""A client that looks whether a suite runs holds the lock for an instant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A running suite: its addresses (None for what it runs without) and its processes."""

    pid: int
    gateway: str
    metrics: str
    provider: str
    alert_receiver: str
    scaler: str | None = None
    idler: str | None = None
    prometheus: str | None = None
    alertmanager: str | None = None
    nats: str | None = None
    nats_monitoring: str | None = None
    fast: bool = False
    walls: str | None = None
    """Around functions, in a line for people; None where they are no processes of this machine."""
    parts: Mapping[str, int] = field(default_factory=dict)

    @property
    def alert_path(self) -> bool:
        return self.prometheus is not None and self.alertmanager is not None


@dataclass(frozen=True, slots=True)
class StateFolder:
    root: Path

    @classmethod
    def default(cls, environ: Mapping[str, str]) -> StateFolder:
        """``$SPRINGTIDE_STATE_DIR``, or ``$XDG_STATE_HOME/springtide``, or the same below ``~/.local/state``."""
        if asked := environ.get(STATE_VARIABLE):
            return cls(Path(asked).absolute())
        base = environ.get("XDG_STATE_HOME") or str(Path(environ.get("HOME") or Path.home()) / ".local" / "state")
        return cls(Path(base) / "springtide")

    @property
    def secrets(self) -> Path:
        return self.root / "secrets"

    @property
    def payload_secret(self) -> Path:
        """What signs build requests, for faas-cli's --payload-secret."""
        return self.secrets / PAYLOAD_SECRET_FILE

    def payload_secret_of(self, environ: Mapping[str, str]) -> Path:
        """The file that ``payload_secret`` names, or else our own."""
        return Path(environ.get("payload_secret") or self.payload_secret)

    @property
    def containers(self) -> Path:
        """The provider's of containers: its records are not those of processes."""
        return self.root / "containers"

    @property
    def provider(self) -> Path:
        return self.root / "provider"

    @property
    def prometheus(self) -> Path:
        return self.root / "prometheus"

    @property
    def alertmanager(self) -> Path:
        return self.root / "alertmanager"

    @property
    def cron(self) -> Path:
        """Up to when ticks of schedules were sent, and which functions pause."""
        return self.root / "cron"

    @property
    def connectors(self) -> Path:
        """Where connectors say that they are there."""
        return self.root / "connectors"

    @property
    def nats(self) -> Path:
        return self.root / "nats"

    @property
    def alerting(self) -> Path:
        return self.root / "alerting"

    @property
    def alert_receiver_file(self) -> Path:
        return self.root / "alert-receiver.json"

    @property
    def run_file(self) -> Path:
        return self.root / "run.json"

    def log(self, part: str) -> Path:
        return self.root / "logs" / f"{part}.log"

    @contextlib.contextmanager
    def held(self) -> Iterator[list[str]]:
        """Make the folder and hold it for one suite; raises Unavailable when another has it.

        What was in the place of a folder is set aside, with a sentence each.
        """
        told: list[str] = []
        now = time.time()
        with explained(self.root):
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            for folder in (self.secrets, self.alerting, self.nats, self.log("any").parent):
                told += _make_way(folder, now, folder=True)
                folder.mkdir(mode=0o700, exist_ok=True)
            for folder in (self.provider, self.prometheus, self.alertmanager):
                told += _make_way(folder, now, folder=True)
            for file in (self.root / "lock", *self.log("any").parent.iterdir()):
                told += [] if DAMAGED in file.name else _make_way(file, now)
            lock = (self.root / "lock").open("w")
        with lock:
            for _ in range(LOCK_TRIES):
                if _try_lock(lock.fileno(), fcntl.LOCK_EX):
                    break
                time.sleep(LOCK_PAUSE_S)
            else:
                raise Unavailable(f"a suite already runs on {self.root}; stop it, or choose another --state-dir")
            yield told

    def credentials(self) -> Credentials:
        """The suite's user and password; a file that is missing is made, for its owner only."""
        with explained(self.secrets):
            for name, user in ((USER_FILE, USER), (NATS_USER_FILE, NATS_USER)):
                if not (self.secrets / name).exists():
                    write_atomic(self.secrets / name, user.encode(), mode=0o600)
            for file in (self.secrets / PASSWORD_FILE, self.secrets / NATS_PASSWORD_FILE, self.payload_secret):
                if not file.exists():
                    alphabet = string.ascii_letters + string.digits
                    password = "".join(secrets.choice(alphabet) for _ in range(PASSWORD_LENGTH))
                    write_atomic(file, password.encode(), mode=0o600)
        return Credentials.from_folder(self.secrets)

    def mend_files(self, now: float) -> list[str]:
        """Set aside what holds no credentials, or is no file, so that it is made anew; a sentence for each."""
        told = []
        with explained(self.secrets):
            for name, remedy in REMEDIES.items():
                file = self.secrets / name
                if os.path.lexists(file) and not (file.is_file() and _readable(file)):
                    kept = set_aside(file, now).name
                    told.append(f"{file} was damaged and is set aside as {kept}; there is a new one{remedy}")
            for file in (self.alert_receiver_file, self.run_file):
                told += _make_way(file, now)
        return told

    def set_aside(self) -> list[Path]:
        """What was found damaged, or in the way, and is there for somebody to look at; of functions lists tell."""
        found = [path for depth in ("*", "*/*", "*/*/*") for path in self.root.glob(f"{depth}{DAMAGED}*")]
        return sorted(path for path in found if path.parent.name != "functions")

    def running(self) -> Running | None:
        """The suite that runs here now, if one does. A file left by one that was killed counts for nothing."""
        try:
            if not self._is_held():
                return None
            value = read_json(self.run_file)
        except FileNotFoundError:
            return None
        except BadInput as error:
            raise BadInput(f"{self.run_file}: damaged; the suite writes it again within 5 s: try again") from error
        except OSError as error:
            raise BadInput(f"{error.filename}: {error.strerror}; choose another --state-dir") from error
        try:
            return Running(**cast("dict[str, Any]", value))
        except TypeError as error:
            raise BadInput(f"{self.run_file}: not written by this version ({error}); restart the suite") from error

    def _is_held(self) -> bool:
        """Raises OSError. Whatever is there: the next suite that starts sets aside what is no file."""
        lock = os.open(self.root / "lock", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            return not _try_lock(lock, fcntl.LOCK_SH)
        finally:
            os.close(lock)

    def announce(self, running: Running) -> None:
        write_atomic(self.run_file, _run_text(running), mode=0o600)

    def announces(self, running: Running) -> bool:
        """Whether the file is there and says so."""
        try:
            return read_whole(self.run_file) == _run_text(running)
        except OSError:
            return False

    def withdraw(self) -> None:
        """What cannot be removed counts for nothing as soon as nobody holds the lock."""
        with contextlib.suppress(OSError):
            self.run_file.unlink()

    @property
    def samples_deployed(self) -> bool:
        return (self.root / "samples-deployed").exists()

    def remember_samples(self) -> None:
        (self.root / "samples-deployed").touch()


def _make_way(path: Path, now: float, *, folder: bool = False) -> list[str]:
    """A sentence when something was in the way."""
    kept = make_way(path, now, folder=folder)
    return [f"{path} was no {'folder' if folder else 'file'} and is set aside as {kept.name}"] if kept else []


def _run_text(running: Running) -> bytes:
    return json.dumps(asdict(running), indent=2).encode() + b"\n"


def _readable(credential: Path) -> bool:
    """Basic authentication has a colon between user and password; what signs builds may be any bytes."""
    if credential.name == PAYLOAD_SECRET_FILE:
        return bool(credential.read_bytes().strip(b"\0 \t\r\n"))
    try:
        text = credential.read_text().strip()
    except UnicodeDecodeError:
        return False
    return text.isprintable() and bool(text) and not (credential.name == USER_FILE and ":" in text)


def _try_lock(handle: int, kind: int) -> bool:
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextlib.contextmanager
def explained(path: Path) -> Iterator[None]:
    """What the disk refuses below ``path``, as a sentence."""
    try:
        yield
    except OSError as error:
        where = os.fspath(error.filename or path)
        raise BadInput(f"{where}: {error.strerror}; choose another --state-dir") from error
