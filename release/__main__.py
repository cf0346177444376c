"""``python -m release``, of ``make release``: makes, tries and signs what a version is published as."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import click

from release import bill, chart, distribution, image, notes, preconditions, signing, trial
from release.errors import Failed, Refused
from release.preconditions import Release
from release.programs import run
from release.staging import stage

ROOT = Path(__file__).parents[1]
WHOLE, FAILED, INCOMPLETE = 0, 1, 3
"""Exit statuses. 2 is click's, for a command line that cannot be understood."""


@click.command(
    epilog="Exit status: 0 all is there; 1 refused, or a file does not do what it should, and none is put into the "
    "folder; 3 all but what is named as left out."
)
@click.option(
    "--signing-key",
    envvar="RELEASE_SIGNING_KEY",
    show_envvar=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="What ssh-keygen signs the checksums by: a private key, or a public one whose other half an agent has.",
)
@click.option("--unsigned", is_flag=True, help="Sign nothing: a rehearsal.")
@click.option("--without-image", is_flag=True, help="Leave the image out, and be content with that.")
@click.option(
    "--image-base",
    envvar="RELEASE_IMAGE_BASE",
    show_envvar=True,
    help="The image's base, in place of the usual one.",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=ROOT / "dist",
    help="The files go into a folder of it that is named as the version, in the place of an earlier one.  "
    "[default: dist]",
)
def main(*, signing_key: Path | None, unsigned: bool, without_image: bool, image_base: str | None, out: Path) -> None:
    """Build the release of the version in pyproject.toml from the commit that is checked out, try it, and sign it.

    It is refused where files are not as committed, the version has a tag at another commit, or CHANGELOG.md says
    nothing of it.
    """
    try:
        unsignable = signing.reasons_against(signing_key, ROOT, unsigned=unsigned)
        release = preconditions.examine(ROOT, unsignable)
        left_out = _make(release, out / release.version, signing_key, base=image_base, without_image=without_image)
    except Refused as error:
        for reason in error.reasons:
            click.secho(f"release: refused: {reason}", fg="red", err=True)
        sys.exit(FAILED)
    except Failed as error:
        click.secho(f"release: {error}", fg="red", err=True)
        sys.exit(FAILED)
    for one in left_out:
        click.secho(f"release: left out: {one}", fg="yellow", err=True)
    _tell_what_next(release, out / release.version)
    sys.exit(INCOMPLETE if left_out and not without_image else WHOLE)


def _make(release: Release, target: Path, key: Path | None, *, base: str | None, without_image: bool) -> list[str]:
    """What had to be left out, with the reasons. Nothing is in ``target`` unless all of it is well."""
    with tempfile.TemporaryDirectory(prefix="springtide-release-") as temporary:
        staged, out, tried = (Path(temporary) / name for name in ("sources", "out", "trial"))
        for folder in (staged, out, tried):
            folder.mkdir()
        stage(release, staged)
        _, wheel = distribution.build(release, staged, out)
        run([sys.executable, "-m", "twine", "--no-color", "check", "--strict", *out.iterdir()])
        _say(f"built and checked: {', '.join(sorted(path.name for path in out.iterdir()))}")
        _say(f"packed: {chart.package(release, staged, out).name}")
        left_out = list(_image(release, staged, out, base=base, without_image=without_image))
        environment = trial.install(wheel, tried)
        _say("installed the wheel in an empty environment")
        for seen in trial.use(release, environment, tried):
            _say(seen)
        trial.add(wheel, bill.EXTRAS, environment)
        _say(f"listed what it is made of: {bill.write(release, environment / 'bin' / 'python', staged, out).name}")
        notes.write(release, out, left_out)
        sums = signing.write_sums(out)
        _say(signing.sign(sums, key) if key is not None else "not signed")
        shutil.rmtree(target, ignore_errors=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(out, target)
    return left_out


def _image(release: Release, staged: Path, out: Path, *, base: str | None, without_image: bool) -> Iterator[str]:
    """What is to be told of it where there will be none."""
    if without_image:
        yield "image archive (--without-image)"
        return
    engine = image.find(os.environ.get("PATH", ""))
    if isinstance(engine, image.NoEngine):
        yield f"image archive: no container engine answers ({engine.why}); --without-image is content without it"
        return
    _say(f"built by {engine.name}: {image.build(engine, release, staged, out, base=base).name}")


def _tell_what_next(release: Release, target: Path) -> None:
    click.echo(f"{target}:")
    for path in sorted(target.iterdir()):
        click.echo(f"  {path.stat().st_size:>12,}  {path.name}")
    click.echo(
        f"Next: git tag --sign {release.tag} {release.commit[:12]} unless it is there, push it, publish the files."
    )


def _say(text: str) -> None:
    click.echo(f"release: {text}")


if __name__ == "__main__":
    main()
