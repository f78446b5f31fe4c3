"""Ctrl-C with a WebSocket open whose peer answers no close: the program ends soon, and in order."""

import os
import signal
import sys
import time

import pytest

import syncclient
from tests.bounds import UNASKED
from tests.children import RunChild
from tests.servers import ws_script as ws
from tests.servers.raw import RawConnection, StartRawServer


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_a_block_that_is_left_does_not_wait_long(
    raw_server: StartRawServer, error: type[BaseException]
) -> None:
    """Leaving the block sends 1001, without the ten seconds that ``close()`` gives the peer."""
    codes: list[int] = []

    def deaf(conn: RawConnection) -> None:
        ws.accept(conn)
        codes.append(ws.read_frame(conn).close_code)
        conn.read_to_end()

    server = raw_server(deaf)
    started = time.monotonic()
    with syncclient.Session() as session:
        with pytest.raises(error), session.ws_connect(server.url):
            raise error
    assert time.monotonic() - started < UNASKED
    server.connections[0].wait_until_ended()
    assert codes == [1001]


@pytest.mark.skipif(sys.platform == "win32", reason="sends a POSIX signal")
def test_an_interrupted_close_of_the_session(
    run_child: RunChild, raw_server: StartRawServer
) -> None:
    """An interrupted close continues at exit, and nothing is reported as left open."""

    def deaf(conn: RawConnection) -> None:
        ws.accept(conn)
        child = int(ws.read_frame(conn).data)
        assert ws.read_frame(conn).opcode == ws.CLOSE
        os.kill(child, signal.SIGINT)
        conn.read_to_end()

    # A server in the child itself would keep more alive until the end.
    code = """
import os, sys
import syncclient

session = syncclient.Session()
socket = session.ws_connect(sys.argv[1])
socket.send_str(str(os.getpid()))
session.close()
"""
    child = run_child(code, raw_server(deaf).url, flags=())
    assert child.status == -signal.SIGINT
    assert child.stderr.endswith("KeyboardInterrupt\n")
