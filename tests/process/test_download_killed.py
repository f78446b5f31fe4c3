"""A download killed at any moment leaves no wrong file, and goes on where it was."""

import hashlib
import os
import random
import subprocess
import time
from pathlib import Path

import pytest

from tests.children import start
from tests.forked import Forked
from tests.servers.content import pattern
from tests.servers.process import AppServer

SIZE = 8 * 2**20

CHILD = """
import sys, time
import syncclient

def progress(done, total):
    print(done, flush=True)
    time.sleep(0.002)  # so that there are moments to be killed at

with syncclient.Session(read_bufsize=2**14) as session:
    session.download(
        sys.argv[1], sys.argv[2], progress=progress, connections=int(sys.argv[3])
    )
"""


pytestmark = pytest.mark.usefixtures("can_fork_children")


def start_download(url: str, target: Path, connections: int) -> "subprocess.Popen[bytes] | Forked":
    argv = ["-c", CHILD, url, str(target), str(connections)]
    return start(argv, env=os.environ, forked=True)


@pytest.mark.parametrize(
    ("kills", "connections"),
    [(8, 1), (8, 2), pytest.param(50, 1, marks=[pytest.mark.slow, pytest.mark.timeout(300)])],
)
def test_killed_and_resumed(app: AppServer, tmp_path: Path, kills: int, connections: int) -> None:
    """A download killed at random moments resumes; its content changes once in between."""
    rng = random.Random(kills)
    target, body = tmp_path / "x", pattern(SIZE)
    digest = hashlib.sha256(body).hexdigest()
    resumed = killed = 0
    while killed < kills:
        version = "new" if killed >= kills // 2 else "old"
        with start_download(f"{app.url}/range/{SIZE}?etag={version}", target, connections) as child:
            assert child.stdout is not None
            first = child.stdout.readline()
            resumed += first not in (b"", b"0\n")
            # A few milliseconds into the writing; the sleep is the randomness, not a wait.
            time.sleep(rng.random() * 0.02)
            child.kill()
        killed += 1
        if target.exists():
            assert hashlib.sha256(target.read_bytes()).hexdigest() == digest
            target.unlink()
    with start_download(f"{app.url}/range/{SIZE}?etag=new", target, connections) as child:
        child.communicate(timeout=60)
    assert hashlib.sha256(target.read_bytes()).hexdigest() == digest
    assert [path.name for path in tmp_path.iterdir()] == ["x"]
    assert resumed
