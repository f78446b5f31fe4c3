"""A Flask application under gunicorn, whose views call an API through one session.

python docs/examples/server.py                               # the API
gunicorn -c docs/examples/gunicorn_conf.py flask_app:app     # in another terminal
curl http://localhost:8000/people/1
"""

import os
from collections.abc import Iterator

from flask import Flask, Response, abort, request, stream_with_context
from flask.typing import ResponseReturnValue

import syncclient

app = Flask(__name__)

# One for the process. Made by gunicorn's first process under --preload, and used by the
# workers that it forks: each has connections and a loop thread of its own.
session = syncclient.Session(
    os.environ.get("UPSTREAM", "http://localhost:8080/"),
    timeout=10,
    retry=syncclient.Retry(),
    headers={"User-Agent": "people-portal/1.0"},
)


@app.get("/people/<int:number>")
def person(number: int) -> ResponseReturnValue:
    with session.get(f"people/{number}") as response:
        if response.status == 404:
            abort(404)
        response.raise_for_status()
        return {**response.json(), "worker": os.getpid()}


@app.get("/dashboard")
def dashboard() -> ResponseReturnValue:
    """Several requests at a time from this thread, and two seconds for all."""
    urls = ["people", "items/1", "items/2"]
    with syncclient.timeout(2), session.map(urls, raise_for_status=True) as responses:
        people, *items = [response.json() for response in responses]
    return {"people": len(people), "items": items}


@app.post("/import")
def add_people() -> ResponseReturnValue:
    """Send on, line by line, what is uploaded to us: at no time is all of it here."""

    def lines() -> Iterator[bytes]:
        # Runs in this thread, within this request: Flask's `request` is at hand.
        for line in request.stream:
            yield line.upper()

    with session.post("upload", data=lines(), raise_for_status=True) as response:
        return response.json(), 201


@app.get("/export")
def export() -> ResponseReturnValue:
    """Hand a file on as it comes, whatever its size."""
    upstream = session.get("file/1000000", raise_for_status=True)
    answer = Response(
        stream_with_context(upstream.content.iter_chunked(2**16)),
        headers={"Content-Length": str(upstream.content_length)},
    )
    answer.call_on_close(upstream.close)
    return answer


@app.get("/slow")
def slow() -> ResponseReturnValue:
    """More than the API can do in half a second."""
    with session.get("delay/30", timeout=0.5) as response:
        return response.json(), 200


# Not TimeoutError: in the order of the error's bases, ClientError comes before that.
@app.errorhandler(syncclient.ServerTimeoutError)
def too_slow(error: syncclient.ServerTimeoutError) -> ResponseReturnValue:
    return {"error": "the API took too long"}, 504


@app.errorhandler(syncclient.ClientError)
def out_of_order(error: syncclient.ClientError) -> ResponseReturnValue:
    app.logger.warning("upstream: %s", error)  # holds no password or token
    return {"error": "the API is out of order"}, 502
