"""From a handler's folder to code that replicas run: checked, completed by what its template adds, kept, with all that
it needs installed.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from springtide.provider.process.builder.node_modules import NodeModules
from springtide.provider.process.code_store import CodeStore
from springtide.provider.process.hashed_folders import remove_tree
from springtide.provider.process.requirements import REQUIREMENTS
from springtide.provider.process.templates import HANDLER_FOLDER, Language, Template, missing_programs
from springtide.runtime.errors import BadInput, Unavailable

NODE_SERVER = Path(__file__).parents[1] / "node" / "index.js"
MAX_SOURCES = 2_000
"""Python files looked through for what the template brings along."""

Tell = Callable[[str], None]
EnvironmentOf = Callable[[str, Tell], Awaitable[str]]

_IMPORTS_FLASK = re.compile(rb"^[ \t]*(?:from|import)[ \t]+flask\b", re.MULTILINE)
_NAMES_FLASK = re.compile(r"^\s*flask\b(?!-)", re.MULTILINE | re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltCode:
    """``version`` is the code's in the store, ``environment`` its Python environment's key; see ``LocalImage``."""

    version: str
    environment: str = ""
    command: str = ""
    variables: dict[str, str] = field(default_factory=dict)


class CodeBuilder:
    """``scratch`` is for code on its way to the store, ``search`` where functions find programs, as PATH.

    ``environment_of`` builds the Python environment that a version in the store asks for, and returns its key.
    """

    def __init__(
        self, scratch: Path, store: CodeStore, environment_of: EnvironmentOf, node_modules: NodeModules, *, search: str
    ) -> None:
        self._scratch, self._store, self._environment_of = scratch, store, environment_of
        self._node_modules, self._search = node_modules, search

    def __repr__(self) -> str:
        return f"<CodeBuilder into {self._store!r}>"

    def open(self) -> None:
        """Make the scratch folder, without what one that was killed left in it. Raises OSError."""
        self._scratch.mkdir(mode=0o700, parents=True, exist_ok=True)
        for left in self._scratch.iterdir():
            remove_tree(left)
        self._node_modules.open()

    async def build(self, template: Template, handler: Path, tell: Tell) -> BuiltCode:
        """Keep the code of the handler in this folder. Raises BadInput with the remedy, or the installer's own words.

        Raises Unavailable when the disk is full, say. What is built is kept whether it is deployed or not.
        """
        if missing := missing_programs(template, self._search):
            raise BadInput(missing)
        if not any((handler / name).is_file() for name in template.handler):
            raise BadInput(f"template {template.lang}: there is no {' or '.join(template.handler)} in {handler.name}/")
        staging = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="code-", dir=self._scratch))
        try:
            match template.language:
                case Language.PYTHON:
                    return await self._python(handler, staging, tell)
                case Language.NODE:
                    return await self._node(template, handler, staging, tell)
                case Language.SHELL:
                    version = await self._keep(handler, tell)
                    return BuiltCode(version=version, command=template.command, variables={"mode": template.mode})
        except OSError as error:
            raise Unavailable(f"{error.filename or self._scratch}: {error.strerror}; nothing was built") from error
        finally:
            await asyncio.to_thread(remove_tree, staging)

    async def _python(self, handler: Path, staging: Path, tell: Tell) -> BuiltCode:
        if await asyncio.to_thread(_needs_flask, handler):
            tell("the handler imports Flask, which this template brings along: added to its requirements")
            handler = await asyncio.to_thread(_with_flask, handler, staging)
        version = await self._keep(handler, tell)
        return BuiltCode(version=version, environment=await self._environment_of(version, tell))

    async def _node(self, template: Template, handler: Path, staging: Path, tell: Tell) -> BuiltCode:
        own = staging / HANDLER_FOLDER
        await asyncio.to_thread(_copy, handler, own)
        await asyncio.to_thread(shutil.copyfile, NODE_SERVER, staging / "index.js")
        await self._node_modules.install(own, tell)
        version = await self._keep(staging, tell)
        return BuiltCode(version=version, command=template.command, variables={"mode": template.mode})

    async def _keep(self, folder: Path, tell: Tell) -> str:
        version = await asyncio.to_thread(self._store.add, folder)
        tell(f"code: version {version[:12]}")
        return version


def _copy(source: Path, target: Path) -> None:
    shutil.copytree(source, target, symlinks=True, ignore=shutil.ignore_patterns("node_modules", ".git"))


def _needs_flask(handler: Path) -> bool:
    """Whether it imports Flask without asking for it, as it may in an image of these templates."""
    requirements = handler / REQUIREMENTS
    if requirements.is_file() and _NAMES_FLASK.search(requirements.read_text(errors="replace")):
        return False
    sources = sorted(handler.rglob("*.py"))[:MAX_SOURCES]
    return any(_IMPORTS_FLASK.search(source.read_bytes()) for source in sources if source.is_file())


def _with_flask(handler: Path, staging: Path) -> Path:
    copied = staging / HANDLER_FOLDER
    shutil.copytree(handler, copied, symlinks=True)
    requirements = copied / REQUIREMENTS
    before = requirements.read_text(errors="replace").rstrip("\n") + "\n" if requirements.is_file() else ""
    requirements.unlink(missing_ok=True)
    requirements.write_text(before + "flask\n")
    return copied
