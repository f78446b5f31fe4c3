"""Jupyter: a kernel runs cells on an event loop of its own, in which a session may block."""

from __future__ import annotations

import pytest

from tests.children import RunChild
from tests.servers.process import AppServer

pytest.importorskip("nbclient", reason="nbclient does not run here")
pytest.importorskip("ipykernel", reason="ipykernel does not run here")

#: Each cell is executed by a real kernel, which then is told to end.
RUN_NOTEBOOK = """
import sys, warnings
warnings.simplefilter("ignore")  # those of the tools' own
import nbclient, nbformat
from nbformat.v4 import new_code_cell, new_notebook

cells = [
    "import asyncio, sys, threading, syncclient\\n"
    "assert asyncio.get_running_loop().is_running()\\n"
    f"session = syncclient.Session({sys.argv[1]!r})\\n"
    "session.get('/json').status",
    "async def ticks(count=0):\\n"
    "    while True:\\n"
    "        count += 1; seen.append(count); await asyncio.sleep(0)\\n"
    "seen = []\\n"
    "ticking = asyncio.ensure_future(ticks())\\n"
    "response = session.get('/bytes/3000000')",
    "len(response.read())",
    "with session.ws_connect('/echo') as socket:\\n"
    "    socket.send_str('hello'); print(socket.receive_str())",
    "await asyncio.sleep(0)\\n"
    "ticking.cancel(); bool(seen)",
    "[r.status for r in session.map(['/json'] * 5)]",
]
notebook = new_notebook(cells=[new_code_cell(cell) for cell in cells])
nbclient.NotebookClient(notebook, timeout=20, kernel_name="python3").execute()
for cell in notebook.cells:
    for output in cell.outputs:
        print(output.get("text") or output["data"]["text/plain"])
"""


@pytest.mark.slow
def test_a_notebook(run_child: RunChild, app: AppServer) -> None:
    """Every call works though a loop runs in its thread, and the kernel ends when it is told."""
    child = run_child(RUN_NOTEBOOK, app.url + "/", flags=(), timeout=50)
    assert child.status == 0, child.stderr
    assert child.stdout.split("\n") == [
        *("200", "3000000", "hello", "", "True", "[200, 200, 200, 200, 200]", "")
    ]
    assert "Traceback" not in child.stderr
