"""All commands together, and the way a run of them ends."""

from __future__ import annotations

import io
import os
import platform
import sys
from collections.abc import Sequence
from functools import partial
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as version_of

import click

from .bench import bench
from .demo import demo
from .exits import TABLE, USAGE, guarded
from .transfers import download, sse
from .verbs import METHODS, verb
from .ws import ws


def _version(context: click.Context, parameter: click.Parameter, wanted: bool) -> None:
    if wanted and not context.resilient_parsing:
        try:
            ours = version_of("syncclient")
        except PackageNotFoundError:  # run from its sources
            ours = "(not installed)"
        click.echo(
            f"syncclient {ours} (aiohttp {version_of('aiohttp')}, "
            f"Python {platform.python_version()})"
        )
        context.exit()


@click.group(
    invoke_without_command=True,
    no_args_is_help=False,
    context_settings={"help_option_names": ["--help"], "max_content_width": 100},
    epilog=TABLE,
)
@click.option("--version", is_flag=True, expose_value=False, is_eager=True, callback=_version)
def cli() -> None:
    """Requests, downloads, WebSockets and load from the command line.

    A URL without a scheme gets http:// on this machine (localhost, 127.0.0.1, :8080), and
    https:// elsewhere. In a terminal heads and bodies are shown with colours; in a pipe
    stdout has the bytes of the body and nothing else.

    \b
        syncclient get localhost:8080/people city==London
        syncclient post api.example/people name=Ada age:=36 X-Token:secret
        syncclient download https://example.org/big.iso --digest sha256:...
    """


for _method in METHODS:
    cli.add_command(verb(_method))
for _command in (download, ws, sse, bench, demo):
    cli.add_command(_command)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line, and return the exit code. None takes this process's arguments."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # What a terminal cannot show becomes a question mark, and no traceback.
            stream.reconfigure(errors="replace")
    given = list(sys.argv[1:] if arguments is None else arguments)
    return guarded(partial(_invoke, given))


def _invoke(arguments: list[str]) -> None:
    if _COMPLETION in os.environ:
        cli.main(arguments, prog_name="syncclient", complete_var=_COMPLETION)
    # Not by cli.main(), which has a way of its own to end where a pipe was closed.
    with cli.make_context("syncclient", arguments) as context:
        if not arguments:
            click.echo(context.get_help(), err=True)
            context.exit(USAGE)
        cli.invoke(context)


#: Set by the shell functions that complete commands; see click's documentation.
_COMPLETION = "_SYNCCLIENT_COMPLETE"
