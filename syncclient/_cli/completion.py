"""``syncclient completion``: the script with which a shell completes commands and options."""

from __future__ import annotations

import os

import click
from click.shell_completion import get_completion_class

#: Set by the functions in the scripts. What it holds says what they want.
VARIABLE = "_SYNCCLIENT_COMPLETE"
_SHELLS = ("bash", "zsh", "fish")


@click.command("completion", short_help="Print the completion script of a shell.")
@click.argument("shell", type=click.Choice(_SHELLS), required=False)
@click.pass_context
def completion(context: click.Context, shell: str | None) -> None:
    """Print the script that completes commands and options in a shell.

    Without SHELL it is that of $SHELL. To have it in each new shell:

    \b
        bash  echo 'eval "$(syncclient completion bash)"' >> ~/.bashrc
        zsh   echo 'eval "$(syncclient completion zsh)"' >> ~/.zshrc
        fish  syncclient completion fish > ~/.config/fish/completions/syncclient.fish
    """
    name = shell or os.path.basename(os.environ.get("SHELL", ""))
    if name not in _SHELLS:
        raise click.UsageError(f"for which shell? write one of {', '.join(_SHELLS)}", context)
    found = get_completion_class(name)
    assert found is not None  # click has these three
    click.echo(found(context.find_root().command, {}, "syncclient", VARIABLE).source())
