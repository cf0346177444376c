"""Which credentials a part asks for, and shows to the provider: OpenFaaS's two files in one folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from springtide.runtime.basic_auth import Credentials
from springtide.runtime.settings import boolean, path, setting


@dataclass(frozen=True, kw_only=True)
class AuthSettings:
    basic_auth: bool = setting(
        default=True,
        env="basic_auth",
        kind=boolean,
        help="ask for user and password on /system, and show them to other parts",
    )
    secret_mount_path: Path = setting(  # noqa: RUF009 - a field, made once
        Path("/run/secrets"),
        env="secret_mount_path",
        kind=path,
        help="folder with basic-auth-user and basic-auth-password",
    )

    def credentials(self) -> Credentials | None:
        """None when authentication is switched off; raises BadInput when the files are not there."""
        return Credentials.from_folder(self.secret_mount_path) if self.basic_auth else None
