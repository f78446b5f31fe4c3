"""Where output goes: consoles for people, bytes for pipes, and text that is safe to show."""

from __future__ import annotations

import errno
import os
import re
import sys
from typing import BinaryIO

from rich.console import Console

#: What could move the cursor, retitle the window or answer for the user. Tab and newline stay.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def printable(text: str) -> str:
    """Return ``text`` with control characters made visible: a server may not drive the terminal."""
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text.replace("\r\n", "\n"))


def out_is_terminal() -> bool:
    """Whether somebody looks at stdout."""
    return sys.stdout.isatty()


def out_bytes() -> BinaryIO:
    """Return stdout for bytes. What rich has written is flushed first."""
    sys.stdout.flush()
    return sys.stdout.buffer


def write(data: bytes) -> None:
    """Write ``data`` to stdout as it is, now."""
    out = out_bytes()
    out.write(data)
    out.flush()


class _Console(Console):
    """A console whose broken pipe is told as any other; rich would end the process itself."""

    def on_broken_pipe(self) -> None:
        """Raise the error anew: rich has caught it."""
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))


def console(*, stderr: bool = False, colours: bool | None = None, wrapped: bool = False) -> Console:
    """Return a console on stdout or stderr that wraps nothing.

    Args:
        colours: None is for a terminal only; True asks for them in a pipe as well.
        wrapped: whether it wraps and cuts lines after all.
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
