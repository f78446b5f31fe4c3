"""Errors in programs that have tblib, which makes tracebacks and contexts a part of their pickles.

Dask's workers, Django's test runner and Celery's tests install it.
"""

import pytest

from tests.children import RunChild
from tests.servers.process import AppServer

pytest.importorskip("tblib")

CODE = """
import copy, pickle, socket, ssl

import tblib.pickling_support

import syncclient

tblib.pickling_support.install()


def caught(url, **options):
    try:
        with syncclient.Session(retry=None, **options.pop("of_session", {})) as session:
            session.get(url, **options)
    except syncclient.ClientError as error:
        return error


with socket.socket() as listener:
    listener.bind(("127.0.0.1", 0))  # does not listen, so it refuses
    url = f"https://127.0.0.1:{listener.getsockname()[1]}/"
    refused = caught(url, ssl=ssl.create_default_context())
for twin in (pickle.loads(pickle.dumps(refused)), copy.copy(refused)):
    assert type(twin) is type(refused) and str(twin) == str(refused)
    assert "Connection refused" in str(twin)
print("refused")

told = []
config = syncclient.TraceConfig()
config.on_request_exception.append(lambda *args: told.append(args[-1].exception))
again = caught(UPSTREAM + "/redirect/3", max_redirects=2, of_session={"trace_configs": [config]})
assert isinstance(again, syncclient.TooManyRedirects), repr(again)
assert str(pickle.loads(pickle.dumps(again))) == str(again)
(traced,) = told
assert traced is not again and traced.__traceback__ is None and str(traced) == str(again)
print("redirected")
"""


def test_errors_are_copied_and_pickled(run_child: RunChild, app: AppServer) -> None:
    """A refused connection to which an SSLContext was given, and a traced error of redirects."""
    child = run_child(f"UPSTREAM = {app.url!r}\n{CODE}")
    assert (child.status, child.stderr) == (0, "")
    assert child.stdout.split() == ["refused", "redirected"]
