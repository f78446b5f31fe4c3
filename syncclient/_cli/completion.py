"""``syncclient completion``: print a script that lets a shell complete commands and options."""

from __future__ import annotations

import os

import click
from click.shell_completion import get_completion_class

#: The functions in the scripts set this variable to name the words they ask for.
VARIABLE = "_SYNCCLIENT_COMPLETE"
_SHELLS = ("bash", "zsh", "fish")


@click.command("completion", short_help="Print a completion script for a shell.")
@click.argument("shell", type=click.Choice(_SHELLS), required=False)
@click.pass_context
def completion(context: click.Context, shell: str | None) -> None:
    """Print a script that lets your shell complete commands and options.

    Without SHELL, the script is for the shell in $SHELL. To load it in every new shell, run:

    \b
        bash  echo 'eval "$(syncclient completion bash)"' >> ~/.bashrc
        zsh   echo 'eval "$(syncclient completion zsh)"' >> ~/.zshrc
        fish  syncclient completion fish > ~/.config/fish/completions/syncclient.fish
    """
    name = shell or os.path.basename(os.environ.get("SHELL", ""))
    if name not in _SHELLS:
        raise click.UsageError(
            f"cannot tell which shell you use: add one of {', '.join(_SHELLS)}", context
        )
    found = get_completion_class(name)
    assert found is not None  # click has these three
    click.echo(found(context.find_root().command, {}, "syncclient", VARIABLE).source())
