"""Wherever a thread is blocked, whatever is raised into it ends the wait (rule 6).

In time means at once, for a signal ends the wait of the main thread, and within a slice at
most: of 0.1 s in the main thread, of 0.15 s in others, which no signal wakes. So 0.2 s is the
promise, for each place and each means. Noise can only lengthen that: hence some tries.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.children import RunChild
from tests.places import PLACES
from tests.process.interrupted import PROMISED

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="sends POSIX signals"),
    pytest.mark.slow,
]

SCRIPT = Path(__file__).with_name("interrupted.py")

EXPECTED = {
    "once": "KeyboardInterrupt",
    "twice": "KeyboardInterrupt",
    "terminate": "SystemExit",
    "alarm": "TooLongError",
    "thread": "StoppedError",
}

GROUPS = {
    "on the way": ["Connect", "LookUp", "Handshake", "Pool"],
    "answers": ["Place", "OneShot", "Body", "Download", "Events"],
    "uploads": ["Upload", "GeneratorUpload", "Writer"],
    "many": ["Submitted", "Many"],
    "doors": ["Door", "DoorBody", "DoorPause"],
    "sockets": ["Receive", "Goodbye", "Pause"],
}


def test_every_place_is_tried() -> None:
    """The groups below leave none out."""
    assert sorted(name for names in GROUPS.values() for name in names) == sorted(PLACES)


@pytest.mark.parametrize("names", GROUPS.values(), ids=GROUPS)
def test_an_interrupt_ends_the_wait(run_child: RunChild, names: list[str]) -> None:
    """SIGINT once and twice, handlers of SIGTERM and SIGALRM, and exceptions set on a thread.

    Each time the server sees the connection end, the pool is as it was, the session makes
    another request, and nothing is printed (-W error).
    """
    child = run_child(SCRIPT, *names, flags=("-W", "error"), forked=True)
    assert (child.stderr, child.status) == ("", 0), child.stdout
    lines = [line.split() for line in child.stdout.splitlines()]
    expected = [[name, means, error] for name in names for means, error in EXPECTED.items()]
    assert [line[:3] for line in lines] == expected
    assert [line for line in lines if float(line[3]) >= PROMISED] == []
