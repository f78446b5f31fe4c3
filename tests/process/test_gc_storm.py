"""Finalisers at any allocation, on any thread, the loop's among them, in the boundary's code."""

from __future__ import annotations

import pytest

from tests.children import RunChild
from tests.servers.process import AppServer

#: The collector runs at every allocation of a container, on whichever thread makes it: what
#: lies in a cycle is finalised in the middle of whatever that thread is doing.
STORM = """
import asyncio, gc, logging, sys, threading, warnings
import syncclient
from syncclient._boundary.loop_thread import default_loop_thread

warnings.simplefilter("ignore", ResourceWarning)  # all of it is dropped unclosed, on purpose
logging.getLogger("asyncio").setLevel(logging.ERROR)  # callbacks are slow in this weather
url = sys.argv[1]
#: What was finalised where: the kind of thing, and the thread.
finalised_on = set()
WANTED = ("response", "syncclient-loop")


class Witness:
    def __init__(self, kind):
        self.kind = kind

    def __del__(self):
        finalised_on.add((self.kind, threading.current_thread().name))


def dropped(kind, *things):
    cycle = [Witness(kind), *things]
    cycle.append(cycle)


def dropped_by_the_loop(kind, *things):
    cycle = [Witness(kind), *things]
    cycle.append(cycle)
    box = [cycle]
    del cycle, things
    default_loop_thread._run.loop.call_soon_threadsafe(box.clear)


def storm(session, number):
    for turn in range(60):
        # Which thread collects is chance: it goes on until the loop's has finalised a response.
        if turn >= 10 and WANTED in finalised_on:
            break
        dropped("response", session.get("/bytes/2000000"))
        dropped_by_the_loop("response", session.get("/bytes/2000000"))
        stream = session.get("/bytes/2000000").content
        assert len(stream.read(10)) == 10
        dropped("stream", stream)
        del stream
        socket = session.ws_connect("/echo?burst=3")
        assert socket.receive_str(timeout=20) == "0"
        dropped("socket", socket)
        del socket
        own = syncclient.Session(url)
        assert own.get(f"/anything/{number}").json()["target"] == f"/anything/{number}"
        dropped("session", own)
        del own
        slow, large = (session.submit("GET", path) for path in ("/delay/0.01", "/bytes/2000000"))
        dropped("futures", slow, large)
        del slow, large
        writer = syncclient.BodyWriter()
        future = session.submit("POST", "/upload", data=writer)
        writer.write(b"some")
        dropped("writer", writer, future)
        del writer, future
        reply = session.post("/anything/here", json={"n": number}).json()
        assert reply["json"] == {"n": number}
        try:
            with syncclient.timeout(0.01):
                dropped("late", session.get("/delay/5"))
        except syncclient.DeadlineError:
            pass


with syncclient.Session(url) as session:
    session.get("/get").read()
    gc.set_threshold(1, 1, 1)
    threads = [threading.Thread(target=storm, args=(session, n)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(100)
        assert not thread.is_alive(), "a thread hangs"
    gc.set_threshold(700, 10, 10)
    gc.collect()
    run = default_loop_thread._run
    for _ in range(1000):  # what was posted by finalisers is done in its turn
        session.get("/get").read()
        tasks = asyncio.all_tasks(run.loop)
        if len(run.tenants) == 1 and not tasks and not run.posted:
            break
    else:
        print("left over:", len(run.tenants) - 1, "leases,", tasks, run.posted)
print("on the loop thread too" if WANTED in finalised_on else finalised_on)
print([t.name for t in threading.enumerate() if t.name.startswith("syncclient-loop")])
"""


@pytest.mark.slow
@pytest.mark.timeout(150)
def test_a_storm_of_the_garbage_collector(run_child: RunChild, app: AppServer) -> None:
    """Finalisers may run anywhere: replies are right, nothing hangs, and nothing is left."""
    child = run_child(STORM, app.url, timeout=120.0, flags=("-X", "dev"))
    assert child.stderr == ""
    assert child.status == 0
    assert child.stdout.split("\n") == ["on the loop thread too", "[]", ""]
