"""Where threads are greenlets, a session refuses to be made, and says what to do (rule 12)."""

from __future__ import annotations

import pytest

from tests.children import RunChild


@pytest.mark.parametrize("first", ["import syncclient", ""], ids=["after import", "before import"])
def test_gevent(run_child: RunChild, first: str) -> None:
    """The real gevent: refused once threads are patched, fine once they are left out."""
    code = f"""
{first}
import gevent.monkey
gevent.monkey.patch_all(thread=bool(int(__import__("sys").argv[1])))
import syncclient
try:
    syncclient.Session().close()
except syncclient.LoopThreadError as exc:
    print("refused:", "gevent" in str(exc), "thread=False" in str(exc))
else:
    print("made")
"""
    assert run_child(code, "1", flags=()).stdout == "refused: True True\n"
    assert run_child(code, "0", flags=()).stdout == "made\n"
