"""A Flask app with a session at the module's level, used before any server forks."""

import os
from collections.abc import Iterator

import flask

import syncclient

session = syncclient.Session(os.environ["UPSTREAM"])
session.get("/json").raise_for_status()
app = flask.Flask(__name__)


@app.get("/")
def ask() -> dict[str, object]:
    """Ask the upstream, through Flask's request state and the session, and tell who did."""

    def body() -> Iterator[bytes]:
        yield flask.request.args["q"].encode()

    with session.post("/anything", data=body()) as response:
        return {"pid": os.getpid(), "answer": response.json()["text"]}
