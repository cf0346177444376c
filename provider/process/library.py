"""What people begin with on this machine: the store's functions, and templates in a git repository of our own."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import structlog

from springtide.provider.process import function_store, starters
from springtide.provider.process.hashed_folders import remove_tree

GIT_TIMEOUT_S = 30.0
_AUTHOR = ("-c", "user.name=springtide", "-c", "user.email=springtide@localhost", "-c", "commit.gpgsign=false")
_MARK = "springtide-templates"
"""In the repository's own folder: which templates are in it."""

_log = structlog.get_logger()


class LocalLibrary:
    """``search`` is where programs are found, as PATH; the repository is made when it is first asked for."""

    def __init__(self, folder: Path, *, search: str) -> None:
        self._folder, self._search = folder, search
        self._making = asyncio.Lock()

    def __repr__(self) -> str:
        return f"<LocalLibrary {self._folder}>"

    async def store(self) -> dict[str, Any]:
        return await asyncio.to_thread(function_store.document, self._search)

    async def templates(self) -> list[dict[str, Any]]:
        """Without git there is no repository to clone, and the list is empty."""
        async with self._making:
            repository = await asyncio.to_thread(self._repository)
        return starters.document(str(repository)) if repository is not None else []

    def _repository(self) -> Path | None:
        git = shutil.which("git", path=self._search)
        if git is None:
            return None
        digest = starters.digest()
        try:
            if (self._folder / ".git" / _MARK).read_text() == digest:
                return self._folder
        except OSError:
            pass  # not made yet, or not whole
        try:
            self._make(git, digest)
        except (OSError, subprocess.SubprocessError) as error:
            _log.error("the repository of templates cannot be made", folder=str(self._folder), why=str(error))
            return None
        return self._folder

    def _make(self, git: str, digest: str) -> None:
        self._folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        new = Path(tempfile.mkdtemp(prefix=f".{self._folder.name}-", dir=self._folder.parent))
        try:
            starters.write_templates(new)
            for words in (("init",), ("add", "--all"), (*_AUTHOR, "commit", "--message", "Templates that run here")):
                run = partial(subprocess.run, cwd=new, env=self._environ, capture_output=True, check=True)
                run((git, *words), timeout=GIT_TIMEOUT_S)
            (new / ".git" / _MARK).write_text(digest)
            remove_tree(self._folder)
            new.rename(self._folder)
        finally:
            remove_tree(new)

    @property
    def _environ(self) -> dict[str, str]:
        """Nobody's hooks, signatures or templates."""
        return {
            "PATH": self._search,
            "HOME": str(self._folder.parent),
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
        }
