"""The names of `syncclient.requests`, and what is installed by it."""

import importlib
import inspect
import pickle
import sys

import pytest
import requests
from requests import sessions

import syncclient
from syncclient import requests as ours
from syncclient.requests import adapters as our_adapters
from tests.children import RunChild
from tests.servers.process import AppServer

#: What sends, and is ours.
SENDING = {"Session", "session", "adapters"} | {
    *("request", "get", "options", "head", "post", "put", "patch", "delete"),
}


def test_every_name_of_requests_is_there() -> None:
    """Each public name is here, as the very same object unless it sends."""
    names = {name for name in vars(requests) if not name.startswith("_")}
    assert {name for name in names if not hasattr(ours, name)} == set()
    different = {n for n in names if getattr(ours, n) is not getattr(requests, n)}
    assert different == SENDING
    assert ours.__version__ == requests.__version__


def test_submodules_are_requests_own() -> None:
    """A submodule imported from here is requests' own, so that its classes are the same."""
    for name in ("exceptions", "models", "auth", "cookies", "utils", "structures", "sessions"):
        module = importlib.import_module(f"syncclient.requests.{name}")
        assert module is importlib.import_module(f"requests.{name}")
    assert sys.modules["requests"] is requests
    assert importlib.import_module("requests.adapters") is not our_adapters


def test_adapters_has_the_names_of_requests() -> None:
    """`adapters` is ours, with all the names of requests' and one class of its own."""
    theirs = importlib.import_module("requests.adapters")
    names = {name for name in vars(theirs) if not name.startswith("__")}
    different = {n for n in names if getattr(our_adapters, n) is not getattr(theirs, n)}
    assert different == {"HTTPAdapter"}
    assert issubclass(our_adapters.HTTPAdapter, theirs.HTTPAdapter)


@pytest.mark.parametrize("name", sorted(SENDING - {"Session", "session", "adapters"}))
def test_functions_have_the_parameters_of_requests(name: str) -> None:
    """The one-shot functions take what requests' take."""
    own = inspect.signature(getattr(ours, name)).parameters
    theirs = inspect.signature(getattr(requests, name)).parameters
    assert {n: p.default for n, p in own.items()} == {n: p.default for n, p in theirs.items()}


def test_sessions_are_requests_sessions() -> None:
    """Libraries that ask for a requests.Session take ours."""
    assert issubclass(ours.Session, requests.Session)
    assert isinstance(ours.session(), requests.Session)
    for prefix in ("http://", "https://"):
        assert type(ours.Session().adapters[prefix]) is our_adapters.HTTPAdapter


def test_the_one_line(app: AppServer) -> None:
    """A program that imports requests from here works as before."""
    response = ours.post(f"{app.url}/anything", params={"a": "b"}, json={"c": 1}, timeout=5)
    assert response.json()["json"] == {"c": 1}
    assert isinstance(response, requests.Response)
    with pytest.raises(requests.HTTPError):
        ours.get(f"{app.url}/status/404").raise_for_status()
    assert ours.head(f"{app.url}/redirect/1").status_code == 302


def test_installed(app: AppServer) -> None:
    """While it is installed, sessions of requests get our adapter; others keep theirs."""
    before = requests.Session()
    with ours.install():
        assert type(requests.Session().get_adapter("http://x/")) is our_adapters.HTTPAdapter
        assert type(requests.get(f"{app.url}/json")) is not requests.Response
        assert type(before.get_adapter("http://x/")) is requests.adapters.HTTPAdapter
        ours.install()
    assert sessions.HTTPAdapter is requests.adapters.HTTPAdapter
    assert type(requests.get(f"{app.url}/json")) is requests.Response
    ours.uninstall()


def test_nothing_else_is_replaced() -> None:
    """Installing changes one name of one module."""

    def namespace() -> dict[str, object]:
        return {
            f"{module.__name__}.{name}": value
            for module in list(sys.modules.values())
            if module.__name__.partition(".")[0] in ("requests", "urllib3")
            for name, value in vars(module).items()
        }

    before = namespace()
    with ours.install():
        after = namespace()
    changed = {name for name in before if before[name] is not after[name]}
    assert changed == {"requests.sessions.HTTPAdapter"}


def test_installing_over_another_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where something else has replaced that name, it is left alone."""
    other = type("Other", (requests.adapters.HTTPAdapter,), {})
    monkeypatch.setattr(sessions, "HTTPAdapter", other)
    with pytest.raises(RuntimeError, match="undo that first"):
        ours.install()
    ours.uninstall()
    assert sessions.HTTPAdapter is other


def test_pickling(app: AppServer) -> None:
    """Sessions keep their settings and cookies, responses become requests' own."""
    session = ours.Session()
    session.mount("http://x/", our_adapters.HTTPAdapter(max_retries=7, deadline=3.0))
    session.cookies.set("a", "b")
    copy = pickle.loads(pickle.dumps(session))
    adapter = copy.get_adapter("http://x/y")
    assert (adapter.max_retries.total, adapter.deadline) == (7, 3.0)
    assert copy.get(f"{app.url}/cookies").ok
    assert copy.cookies.get_dict() == {"a": "b"}
    response = session.get(f"{app.url}/cookies/set?c=d", allow_redirects=False)
    again = pickle.loads(pickle.dumps(response))
    assert type(again) is requests.Response
    assert again.content == response.content
    assert (again.status_code, again.url) == (response.status_code, response.url)
    assert again.headers == response.headers
    assert again.cookies.get_dict() == response.cookies.get_dict() == {"c": "d"}
    assert again.elapsed == response.elapsed


def test_nothing_imports_it(run_child: RunChild) -> None:
    """`import syncclient` does not import requests, which may not be there."""
    child = run_child("import sys, syncclient; print('requests' in sys.modules)")
    assert child.stdout == "False\n", child.stderr


def test_without_requests(run_child: RunChild) -> None:
    """Without requests, or with one that is too old, the error says what to install."""
    child = run_child(
        "import sys\nsys.modules['requests'] = None\n"
        "try:\n    from syncclient import requests\n"
        "except ImportError as error:\n    print(error)"
    )
    assert "pip install requests" in child.stdout, child.stderr


def test_an_old_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    """A version that is too old is named, with the one that is needed."""
    from syncclient.requests import _needed

    with pytest.raises(ImportError, match=r"needs requests 2.32.4 or newer, and 2.31.0 is"):
        _needed.refuse_old("requests", "2.31.0", _needed.REQUESTS)
    _needed.refuse_old("urllib3", "2.6.0", _needed.URLLIB3)
    _needed.refuse_old("urllib3", "3.0.dev1", _needed.URLLIB3)


def test_keywords_that_cannot_be_honoured(app: AppServer) -> None:
    """A wrong keyword of the adapter says what to write."""
    with pytest.raises(TypeError, match=r"TCPConnector\(...\), not str"):
        our_adapters.HTTPAdapter(connector="unix")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"TCPConnector\(limit="):
        our_adapters.HTTPAdapter(pool_block=True, connector=syncclient.TCPConnector())
    with pytest.raises(ValueError, match="deadline"):
        our_adapters.HTTPAdapter(deadline=-1)
    with requests.Session() as session:
        session.mount("http://", our_adapters.HTTPAdapter(deadline=3, pool_block=True))
        with pytest.raises(ValueError, match="deadline= cannot be honoured, for this request"):
            session.get(f"{app.url}/json")
