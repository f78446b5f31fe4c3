"""Output: consoles for people, bytes for pipes, and text that is safe to show."""

from __future__ import annotations

import errno
import os
import re
import sys
from typing import BinaryIO

from rich.console import Console

#: Characters that could control the terminal, except tab and newline.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def printable(text: str) -> str:
    """Return ``text`` with visible control characters: servers must not control the terminal."""
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text.replace("\r\n", "\n"))


def out_is_terminal() -> bool:
    """Return whether stdout is a terminal."""
    return sys.stdout.isatty()


def out_bytes() -> BinaryIO:
    """Return stdout for bytes. The output of rich is flushed first."""
    sys.stdout.flush()
    return sys.stdout.buffer


def write(data: bytes) -> None:
    """Write ``data`` to stdout unchanged and immediately."""
    out = out_bytes()
    out.write(data)
    out.flush()


class _Console(Console):
    """A console that raises an error for a broken pipe; rich would end the process itself."""

    def on_broken_pipe(self) -> None:
        """Raise the error again, which rich has caught."""
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))


def console(*, stderr: bool = False, colours: bool | None = None, wrapped: bool = False) -> Console:
    """Return a console on stdout or stderr that wraps nothing.

    Args:
        colours: None uses colours only in a terminal; True also in a pipe.
        wrapped: whether to wrap and cut lines after all.
    """
    stream = sys.stderr if stderr else sys.stdout
    forced = bool(colours) and not stream.isatty()
    return _Console(
        file=stream,
        highlight=False,
        markup=False,
        emoji=False,
        soft_wrap=not wrapped,
        force_terminal=True if forced else None,
        color_system=None if colours is False else "standard" if forced else "auto",
    )
