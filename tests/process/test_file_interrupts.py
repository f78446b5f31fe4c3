"""An interrupt at any instruction while a file is opened and written leaves no descriptor."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from syncclient._async.download_versions import Known
from syncclient._client import cookie_files, partial_file
from syncclient._client.partial_file import PartialFile

pytestmark = [
    pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts the files of /proc"),
    pytest.mark.skipif(sys.gettrace() is not None, reason="another tracer is at work"),
    # A file that an interrupt drops is closed by its finaliser, which says so.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

FILES = {partial_file.__file__, cookie_files.__file__}


class Interrupter:
    """Raises KeyboardInterrupt at the n-th instruction in the files that are looked at."""

    def __init__(self, n: int) -> None:
        self.left = n

    def __call__(self, frame: FrameType, event: str, _: object) -> Any:
        if frame.f_code.co_filename not in FILES:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            self.left -= 1
            if self.left == 0:
                raise KeyboardInterrupt
        return self


def left_open(directory: Path) -> list[str]:
    """Return the open files below the directory."""
    links = (each for each in Path("/proc/self/fd").iterdir() if os.path.lexists(each))
    return [name for name in map(os.readlink, links) if name.startswith(str(directory))]


def write_note(directory: Path) -> None:
    partial = PartialFile(directory / "file")
    partial.restart(Known(0, '"tag"', 9))
    partial.known()
    partial._file.close()


def make_private(directory: Path) -> None:
    cookie_files.make_private(str(directory / "cookies.txt"))


@pytest.mark.parametrize("do", [write_note, make_private])
def test_an_interrupt_while_a_file_is_opened(do: Callable[[Path], None], tmp_path: Path) -> None:
    """Whichever instruction an interrupt comes at, the file opened there is closed."""
    for n in range(1, 10_000):
        directory = tmp_path / str(n)
        directory.mkdir()
        interrupter = Interrupter(n)
        sys.settrace(interrupter)
        try:
            do(directory)
        except KeyboardInterrupt:
            pass
        finally:
            sys.settrace(None)
        if left_open(tmp_path):
            gc.collect()  # a traceback may still hold a file
            assert not left_open(tmp_path), f"interrupted at instruction {n}"
        if interrupter.left > 0:
            return
    raise AssertionError("it never came to its end")
