"""Checksums of all files, and their signature.

By ``ssh-keygen -Y``: it is wherever OpenSSH is, so that who downloads a release has it already; its keys are those that
Git signs tags and commits with, in a file, in an agent or in a hardware token; and a signature needs no third party's
service. OpenPGP would ask for a web of keys that hardly anybody keeps, minisign for a program that hardly anybody has,
Sigstore for its servers. The key is a setting of whoever releases, and never a file of the repository.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from release.programs import run

SUMS, SIGNATURE = "SHA256SUMS", "SHA256SUMS.sig"
NAMESPACE = "file"
"""What is signed, so that no signature of one kind can be passed off as one of another; OpenSSH's word for files."""
PASSPHRASE_DEADLINE_S = 300.0


def reasons_against(key: Path | None, root: Path, *, unsigned: bool) -> list[str]:
    """Why nothing can be signed by that key, or that none was named where one is wanted."""
    if unsigned:
        return [] if key is None else [f"--unsigned and a signing key ({key}): leave one of them out"]
    if key is None:
        return ["no signing key: name one with --signing-key or RELEASE_SIGNING_KEY, or rehearse with --unsigned"]
    if not key.is_file():
        return [f"signing key {key}: no such file; name a private key, or a public one whose other half an agent has"]
    if key.resolve().is_relative_to(root.resolve()):
        return [f"signing key {key}: is in the repository; keep it outside, where no commit can take it along"]
    return []


def write_sums(out: Path) -> Path:
    """Of all files of the folder, as ``sha256sum --check`` reads them."""
    files = sorted(path for path in out.iterdir() if path.name not in {SUMS, SIGNATURE})
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in files]
    (out / SUMS).write_text("".join(lines))
    return out / SUMS


def sign(sums: Path, key: Path) -> str:
    """Write the signature beside it, and check it; the line of the key, with its fingerprint. Raises Failed."""
    signature = sums.with_name(SIGNATURE)
    signature.unlink(missing_ok=True)  # or ssh-keygen asks whether to overwrite it
    run(["ssh-keygen", "-Y", "sign", "-f", key, "-n", NAMESPACE, sums], deadline_s=PASSPHRASE_DEADLINE_S)
    words: list[str | Path] = ["ssh-keygen", "-Y", "check-novalidate", "-n", NAMESPACE, "-s", signature]
    return run(words, standard_input=sums.read_bytes()).decode().strip()
