"""Sub-interpreters: a session works where threads may run, and else says where it would."""

from __future__ import annotations

import sys

import pytest

from tests.children import RunChild
from tests.servers.process import AppServer

#: ``run(code, isolated)`` runs code in a fresh sub-interpreter; its modules' names are CPython's.
RUN = """
import sys

def run(code, isolated):
    if sys.version_info >= (3, 14):
        from concurrent import interpreters
        if isolated:
            interpreter = interpreters.create()
            interpreter.exec(code)
            interpreter.close()
            return
    if sys.version_info >= (3, 13):
        import _interpreters
        interpreter = _interpreters.create("isolated" if isolated else "legacy")
        failure = _interpreters.run_string(interpreter, code)
        assert failure is None, failure.formatted
        _interpreters.destroy(interpreter)
    else:
        import _xxsubinterpreters
        interpreter = _xxsubinterpreters.create(isolated=isolated)
        _xxsubinterpreters.run_string(interpreter, code)
        _xxsubinterpreters.destroy(interpreter)
"""

#: Python says so only when the thread starts, before 3.12.
LATE = sys.version_info < (3, 12)


def test_with_threads(run_child: RunChild, app: AppServer) -> None:
    """Requests work in a legacy subinterpreter, such as those of mod_wsgi and uWSGI."""
    code = f"""
import syncclient
with syncclient.Session() as session:
    print(session.get({app.url!r} + "/json").status, flush=True)
"""
    child = run_child(f"{RUN}\nrun({code!r}, isolated=False)", flags=())
    assert (child.status, child.stdout, child.stderr) == (0, "200\n", "")


@pytest.mark.skipif(sys.version_info >= (3, 15), reason="nobody has looked there yet")
def test_isolated(run_child: RunChild, app: AppServer) -> None:
    """A session refuses to be made in an isolated subinterpreter: daemon threads are missing."""
    code = f"""
try:
    import syncclient
except ImportError as exc:
    print("refused:", "subinterpreter" in str(exc), flush=True)  # by an extension module
else:
    try:
        session = syncclient.Session()
        {"session.get(" + repr(app.url) + ")" if LATE else ""}
    except syncclient.LoopThreadError as exc:
        print("refused:", "main" in str(exc), flush=True)
"""
    # Python 3.12 may crash at its exit once an isolated interpreter has imported asyncio.
    leave = "import os; os._exit(0)"
    child = run_child(f"{RUN}\nrun({code!r}, isolated=True)\n{leave}", flags=())
    assert (child.status, child.stdout) == (0, "refused: True\n")
    assert "Traceback" not in child.stderr
