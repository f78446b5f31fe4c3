"""WSGI applications mounted in the process: Flask, Django, and bare ones."""

import hashlib
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import django
import flask
import pytest
from django.conf import settings as django_settings
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path

import syncclient
from syncclient.testing import WSGITransport

Environ = dict[str, Any]
StartResponse = Callable[..., Callable[[bytes], object]]

HOST = "http://shop.test"


def flask_app() -> flask.Flask:
    app = flask.Flask("shop")
    app.secret_key = "secret"

    @app.post("/echo/<name>")
    def echo(name: str) -> flask.Response:
        return flask.jsonify(
            name=name,
            args=flask.request.args.to_dict(),
            form=flask.request.form.to_dict(),
            files={key: file.read().decode() for key, file in flask.request.files.items()},
            url=flask.request.url,
        )

    @app.get("/login")
    def login() -> flask.typing.ResponseReturnValue:
        flask.session["user"] = "ada"
        return flask.redirect("/me")

    @app.get("/me")
    def me() -> str:
        return str(flask.session.get("user"))

    @app.get("/missing")
    def missing() -> str:
        flask.abort(404)

    @app.get("/boom")
    def boom() -> str:
        raise ZeroDivisionError("mine")

    return app


@pytest.fixture
def shop() -> Iterator[syncclient.Session]:
    with syncclient.Session(f"{HOST}/", connector=WSGITransport(flask_app())) as session:
        yield session


def test_flask_answers(shop: syncclient.Session) -> None:
    """A Flask application gets path, query, form and files as from a server."""
    form = syncclient.FormData({"a": "1"})
    form.add_field("f", b"contents", filename="f.txt")
    got = shop.post("echo/gr%C3%BCn", params={"q": "ü"}, data=form).json()
    assert got["name"] == "grün"
    assert (got["args"], got["form"]) == ({"q": "ü"}, {"a": "1"})
    assert got["files"] == {"f": "contents"}
    assert got["url"] == f"{HOST}/echo/grün?q=ü"


def test_flask_sessions_and_redirects(shop: syncclient.Session) -> None:
    """Cookies and redirects go back and forth as over a network."""
    response = shop.get("login")
    assert response.text() == "ada"
    assert [past.status for past in response.history] == [302]
    assert shop.get("missing").status == 404
    assert shop.head("me").read() == b""


def test_flask_errors(shop: syncclient.Session) -> None:
    """Flask answers 500 to what a view raises, unless it is told to propagate it."""
    assert shop.get("boom").status == 500
    app = flask_app()
    app.testing = True
    with syncclient.Session(f"{HOST}/", connector=WSGITransport(app)) as session:
        with pytest.raises(ZeroDivisionError, match="mine"):
            session.get("boom")


def django_app() -> WSGIHandler:
    if not django_settings.configured:
        django_settings.configure(
            ALLOWED_HOSTS=["*"],
            ROOT_URLCONF=__name__,
            SECRET_KEY="secret",
            MIDDLEWARE=["django.middleware.common.CommonMiddleware"],
        )
        django.setup()
    return WSGIHandler()


def django_view(request: HttpRequest, name: str) -> HttpResponse:
    return JsonResponse({"name": name, "host": request.get_host(), "got": request.body.decode()})


urlpatterns = [path("hello/<str:name>/", django_view)]


def test_django_answers() -> None:
    """A Django application answers, its middlewares and its redirects included."""
    with syncclient.Session("https://d.test/", connector=WSGITransport(django_app())) as session:
        got = session.post("hello/ada/", data=b"body").json()
        assert got == {"name": "ada", "host": "d.test", "got": "body"}
        assert session.get("hello/ada").history[0].status == 301  # APPEND_SLASH
        assert session.get("nothing/").status == 404


def test_an_application_may_call_itself() -> None:
    """Each request has a thread to itself, so an application may call the session it is behind."""

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        depth = int(environ["QUERY_STRING"])
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"." if depth == 0 else b"." + session.get(f"{HOST}/?{depth - 1}").read()]

    with syncclient.Session(connector=WSGITransport(app)) as session:
        assert session.get(f"{HOST}/?40").read() == b"." * 41


def test_bodies_stream_both_ways() -> None:
    """An upload is read, and a download written, at the pace of the slower side."""
    read, written = [0], [0]

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        digest = hashlib.sha256()
        while chunk := environ["wsgi.input"].read(2**16):
            read[0] += len(chunk)
            digest.update(chunk)
        start_response("200 OK", [("X-Digest", digest.hexdigest())])
        for _ in range(1000):
            written[0] += 1
            yield b"x" * 2**16

    def upload() -> Iterator[bytes]:
        for _ in range(500):
            # What is not with the application is on its way, of which there is little.
            assert len(sent) * 2**16 - read[0] < 2**24
            sent.append(None)
            yield b"y" * 2**16

    sent: list[None] = []
    with syncclient.Session(connector=WSGITransport(app)) as session:
        with session.post(HOST, data=upload()) as response:
            assert response.headers["X-Digest"] == hashlib.sha256(b"y" * 500 * 2**16).hexdigest()
            assert response.content.read(1) == b"x"
            assert written[0] < 100
            assert len(response.read()) == 1000 * 2**16 - 1


def test_a_client_that_leaves_ends_the_application() -> None:
    """When the client closes the response, the application's iterator is closed as well."""
    closed = threading.Event()

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [])
        try:
            while True:
                yield b"x" * 2**16
        finally:
            closed.set()

    with syncclient.Session(connector=WSGITransport(app)) as session:
        session.get(HOST).close()
        assert closed.wait(10)


def test_the_write_callable_and_exc_info() -> None:
    """The older ways of PEP 3333: write(), and a second head with exc_info before the body."""

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [("X-A", "1")])
        try:
            raise ValueError
        except ValueError as exc:
            head = ("500 Oh No", [("X-A", "2")], (ValueError, exc, exc.__traceback__))
            write = start_response(*head)
        write(b"one")
        return [b"", b"two"]

    with syncclient.Session(connector=WSGITransport(app)) as session:
        response = session.get(HOST)
        assert (response.status, response.reason) == (500, "Oh No")
        assert (response.headers["X-A"], response.read()) == ("2", b"onetwo")


@pytest.mark.parametrize(
    ("app", "message"),
    [
        (lambda environ, start_response: [b"x"], "did not call start_response"),
        (lambda environ, start: [start("200 OK", []), start("200 OK", [])], "called it|twice"),
    ],
)
def test_a_wrong_application_is_an_error(app: Any, message: str) -> None:
    """An application that breaks the rules is an error in the client that says which."""
    with syncclient.Session(connector=WSGITransport(app)) as session:
        with pytest.raises(RuntimeError, match=message):
            session.get(HOST)


def test_headers_of_the_same_name_are_joined() -> None:
    """The environ has request headers as PEP 3333 wants them, cookies joined by semicolons."""
    seen: Environ = {}

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        seen.update(environ)
        start_response("204 No Content", [])
        return []

    with syncclient.Session(connector=WSGITransport(app)) as session:
        headers = [("X-A", "1"), ("X-A", "2"), ("Content-Type", "x/y")]
        session.post(f"{HOST}:81/%41/?a=%42", headers=headers, data=b"abc").release()
    assert seen["HTTP_X_A"] == "1,2"
    assert (seen["CONTENT_TYPE"], seen["CONTENT_LENGTH"]) == ("x/y", "3")
    assert (seen["PATH_INFO"], seen["QUERY_STRING"]) == ("/A/", "a=B")
    assert (seen["SERVER_NAME"], seen["SERVER_PORT"]) == ("shop.test", "81")
