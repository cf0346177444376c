"""The command that prints a shell's completion."""

from __future__ import annotations

import click
from click.shell_completion import ShellComplete, get_completion_class

PROGRAM, VARIABLE = "springtide", "_SPRINGTIDE_COMPLETE"
SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(context: click.Context, /, *, shell: str) -> None:
    """Print what SHELL has to read to complete commands, options and the names of functions.

    \b
    bash (4.4 or newer), in ~/.bashrc:  eval "$(springtide completion bash)"
    zsh, in ~/.zshrc after compinit:    eval "$(springtide completion zsh)"
    fish:  springtide completion fish > ~/.config/fish/completions/springtide.fish

    Releases have the three as files, too, below share/ of the environment that they are installed in.
    """
    click.echo(script(shell, context.find_root().command))


def script(shell: str, command: click.Command) -> str:
    """What ``shell``, one of SHELLS, has to read for ``command`` to be completed."""
    kind = get_completion_class(shell)
    assert kind is not None, shell
    # Not of the class itself: bash's would run bash for its version, which is not that of whoever reads this.
    return ShellComplete.source(kind(command, {}, PROGRAM, VARIABLE))
