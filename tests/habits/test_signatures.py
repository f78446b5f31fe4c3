"""What people and editors see of the keywords: help(), inspect, and completion by jedi."""

import inspect
import pydoc
from collections.abc import Callable
from typing import Any

import pytest

import syncclient
from syncclient._client.request import RequestOptions
from syncclient._client.session_settings import SessionOptions
from syncclient._client.websocket_options import WebSocketOptions

jedi = pytest.importorskip("jedi", reason="jedi is not installed")

SHOWN: list[tuple[Callable[..., Any], Any]] = [
    (getattr(home, verb), RequestOptions)
    for home in (syncclient.Session, syncclient.AioSession, syncclient)
    for verb in ("request", "get", "post", "put", "patch", "delete", "head", "options")
]
SHOWN += [
    (getattr(syncclient.Session, name), RequestOptions)
    for name in ("submit", "map", "sse", "download")
]
SHOWN += [
    (syncclient.Session.with_options, SessionOptions),
    (syncclient.Session.ws_connect, WebSocketOptions),
    (syncclient.Session.ws_connect_forever, WebSocketOptions),
    (syncclient.AioSession.ws_connect, WebSocketOptions),
]


@pytest.mark.parametrize(("function", "options"), SHOWN, ids=lambda value: value.__qualname__)
def test_a_signature_has_the_keywords_and_their_types(
    function: Callable[..., Any], options: Any
) -> None:
    """All of the TypedDict, each with the type that is written there, and nothing of our tricks."""
    parameters = inspect.signature(function).parameters
    for name, hint in options.__annotations__.items():
        assert parameters[name].annotation == hint.__forward_arg__
        assert parameters[name].kind is inspect.Parameter.KEYWORD_ONLY
    assert not parameters.keys() & {"options", "misplaced", "misspelt", "overrides"}


def test_help_shows_them() -> None:
    """What help(Session.get) prints."""
    text = pydoc.plain(pydoc.render_doc(syncclient.Session.get))
    assert "params: 'Query'" in text and "timeout: 'Timeout | Unset'" in text


@pytest.mark.parametrize(
    "code",
    [
        "session.get('http://127.0.0.1/', par",
        "syncclient.post(url, par",
        "session.aio.put(url, par",
    ],
)
def test_jedi_completes_them(code: str) -> None:
    """As IPython and Jupyter ask it, which look at the running program."""
    namespace = {"syncclient": syncclient, "session": syncclient.Session(), "url": ""}
    completions = jedi.Interpreter(code, [namespace]).complete()
    assert "params=" in [completion.name for completion in completions]


def test_jedi_shows_the_signature() -> None:
    """The call tip of an editor."""
    [signature] = jedi.Interpreter(
        "session.get(", [{"session": syncclient.Session()}]
    ).get_signatures()
    assert {"url", "params", "headers", "timeout"} <= {each.name for each in signature.params}
