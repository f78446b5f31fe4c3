"""Failures are raised, and nothing is printed: not by the event loop, nor by the engine."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import trustme

from tests.children import RunChild

SCRIPT = Path(__file__).with_name("silent.py")

CASES = [
    "nobody listens",
    "no such name",
    "many addresses",
    "server: hangs up",
    "server: resets",
    "server: resets late",
    "server: says nothing",
    "server: talks plainly",
    "server: refuses the handshake",
    "server: answers",
    "server: cuts the body",
    "server: resets behind TLS",
    "proxy: hangs up",
    "proxy: resets",
    "proxy: refuses",
    "proxy: tunnels to silence",
    "proxy: tunnels to the end",
    "proxy: tunnels to noise",
    "secure proxy: hangs up",
    "secure proxy: refuses",
    "secure proxy: tunnels to silence",
    "secure proxy: tunnels to the end",
    "secure proxy: tunnels to noise",
    "SOCKS proxy: hangs up",
    "SOCKS proxy: wants a password",
    "SOCKS proxy: refuses",
    "SOCKS proxy: joins to silence",
    "SOCKS proxy: joins to the end",
    "SOCKS proxy: joins to noise",
]

#: What asyncio's own TLS of Python 3.10 cannot do without a warning.
TLS_OF_3_10 = ("secure proxy:", "server: cuts the body", "server: resets behind TLS")


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("loop", ["default", "asyncio"])
def test_nothing_is_printed(
    run_child: RunChild, ca: trustme.CA, tmp_path: Path, loop: str, case: str
) -> None:
    """Stderr stays empty when a connection fails or its caller gives up."""
    if case.startswith("SOCKS"):
        pytest.importorskip("python_socks")
    if loop == "asyncio" and sys.version_info < (3, 11) and case.startswith(TLS_OF_3_10):
        pytest.skip("asyncio of 3.10 has no TLS in TLS, and warns of transports that peers closed")
    certificate = tmp_path / "server.pem"
    ca.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(certificate))
    child = run_child(SCRIPT, loop, case, str(certificate), timeout=60, forked=True)
    assert (child.stderr, child.stdout, child.status) == ("", "done\n", 0)


PROGRAM = """
import asyncio
from syncclient._boundary.loop_setup import ignore_ended_calls

loop = asyncio.new_event_loop()
ignore_ended_calls(loop)

async def main(error):
    async def task():
        raise error
    if isinstance(error, OSError):
        asyncio.get_running_loop().create_task(task())
    else:
        asyncio.get_running_loop().create_future().set_exception(error)
    asyncio.get_running_loop().create_future().set_exception(OSError("an echo"))
    await asyncio.sleep(0)

loop.run_until_complete(main(OSError("of a task")))
loop.run_until_complete(main(KeyError("of a future")))
loop.close()
"""


def test_faults_are_printed(run_child: RunChild) -> None:
    """Errors in tasks and in code are still reported: they are not the end of a connection."""
    child = run_child(PROGRAM, flags=())
    assert "OSError: of a task" in child.stderr
    assert "KeyError: 'of a future'" in child.stderr
    assert "an echo" not in child.stderr


LOST_WRITER = """
import asyncio
from unittest.mock import AsyncMock, MagicMock
import aiohttp
from syncclient._boundary.loop_setup import ignore_ended_calls

loop = asyncio.new_event_loop()
ignore_ended_calls(loop)

async def main():
    writer = MagicMock()
    writer.write_eof = AsyncMock(side_effect=aiohttp.ClientConnectionResetError("closing"))
    request = MagicMock(_continue=None, _body=None)
    write = aiohttp.ClientRequest.write_bytes(request, writer, MagicMock())
    done, _ = await asyncio.wait([asyncio.ensure_future(write)])
    print(writer.write_eof.await_count)

loop.run_until_complete(main())
loop.close()
"""


def test_a_body_whose_connection_is_closed_prints_nothing(run_child: RunChild) -> None:
    """The engine writes a body in a task, which nothing awaits once its call has ended."""
    child = run_child(LOST_WRITER, flags=())
    assert (child.stderr, child.stdout) == ("", "1\n")


def test_a_handler_of_the_loop_is_kept(run_child: RunChild) -> None:
    """The exception handler that a loop was made with gets what is no echo."""
    program = PROGRAM.replace(
        "ignore_ended_calls(loop)",
        "loop.set_exception_handler(lambda _, context: print(context['exception']))\n"
        "ignore_ended_calls(loop)",
    )
    child = run_child(program, flags=())
    assert child.stdout.splitlines() == ["of a task", "'of a future'"]
    assert child.stderr == ""
