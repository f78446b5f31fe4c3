"""The group of all commands, and the exit of a run."""

from __future__ import annotations

import io
import os
import platform
import sys
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from functools import partial
from importlib.metadata import version as version_of

import click

from .._version import __version__
from .bench import bench
from .completion import VARIABLE, completion
from .curl_flags import answer
from .demo import demo
from .exits import TABLE, USAGE, guarded
from .spelling import as_command
from .transfers import download, sse
from .verbs import METHODS, request, verb
from .ws import ws


class Commands(click.Group):
    """The commands, and a request without one."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Insert the command that the arguments leave out."""
        with suppress(click.UsageError) if ctx.resilient_parsing else nullcontext():  # completion
            args = as_command(args, self.commands)
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order in which they were added: requests first."""
        return list(self.commands)


def _version(context: click.Context, parameter: click.Parameter, wanted: bool) -> None:
    if wanted and not context.resilient_parsing:
        click.echo(
            f"syncclient {__version__} (aiohttp {version_of('aiohttp')}, "
            f"Python {platform.python_version()})"
        )
        context.exit()


@click.group(
    cls=Commands,
    invoke_without_command=True,
    no_args_is_help=False,
    context_settings={"help_option_names": ["--help"], "max_content_width": 100},
    epilog=TABLE,
)
@click.option("--version", is_flag=True, expose_value=False, is_eager=True, callback=_version)
def cli() -> None:
    """Requests, downloads, WebSockets and load from the command line.

    \b
        syncclient [METHOD] URL [ITEM]...

    Without a METHOD the request is a GET, or a POST if fields are sent.

    A URL without a scheme gets http:// on this machine (localhost, 127.0.0.1, :8080), and
    https:// elsewhere. In a terminal heads and bodies are shown with colours; in a pipe
    stdout has the bytes of the body and nothing else.

    \b
        syncclient localhost:8080/people city==London
        syncclient api.example/people name=Ada age:=36 X-Token:secret
        syncclient PATCH api.example/people/1 address[city]=Paris
        syncclient download https://example.org/big.iso --digest sha256:...
    """


for _method in METHODS:
    cli.add_command(verb(_method))
for _command in (request, download, ws, sse, bench, completion, demo):
    cli.add_command(_command)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line, and return the exit code. None takes this process's arguments."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # Characters that the terminal cannot show become question marks, not a traceback.
            stream.reconfigure(errors="replace")
    given = list(sys.argv[1:] if arguments is None else arguments)
    return guarded(partial(_invoke, given))


def _invoke(arguments: list[str]) -> None:
    if VARIABLE in os.environ:
        cli.main(arguments, prog_name="syncclient", complete_var=VARIABLE)
    # Not by cli.main(), which exits in its own way if a pipe was closed.
    with cli.make_context("syncclient", list(arguments)) as context:
        if not arguments:
            click.echo(context.get_help(), err=True)
            context.exit(USAGE)
        try:
            cli.invoke(context)
        except click.NoSuchOption as exc:
            _answer(exc, arguments)
            raise


def _answer(error: click.NoSuchOption, arguments: list[str]) -> None:
    """Raise an error that says what to write instead, if the option is curl's."""
    command = error.ctx and error.ctx.command
    known = {
        name: not each.is_flag
        for each in (command.params if command else ())
        if isinstance(each, click.Option)
        for name in each.opts
    }
    told = answer(error.option_name, arguments, known)
    if told is not None:
        raise click.UsageError(f"{error.format_message().rstrip('.')}: {told}", error.ctx)
