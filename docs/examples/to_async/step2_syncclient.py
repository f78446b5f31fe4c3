"""Step 2: the same application on syncclient. Nothing in it is asynchronous yet.

flask --app docs/examples/to_async/step2_syncclient.py run
"""

from flask import Flask, Response, abort, jsonify, request

import syncclient


def create_app(upstream: str = "http://localhost:8080/") -> Flask:
    app = Flask(__name__)
    session = syncclient.Session(upstream, timeout=5)
    app.extensions["syncclient"] = session

    @app.get("/people/<int:number>")
    def person(number: int) -> Response:
        with session.get(f"people/{number}") as response:
            if response.status == 404:
                abort(404)
            response.raise_for_status()
            return jsonify(response.json())

    @app.get("/badges")
    def badges() -> Response:
        """One badge for each of `?ids=1,2,3`: all requests at once, from this one thread."""
        urls = [f"people/{number}" for number in request.args["ids"].split(",")]
        with session.map(urls, raise_for_status=True) as responses:
            return jsonify([response.json()["name"] for response in responses])

    @app.post("/people")
    def add() -> tuple[Response, int]:
        with session.post("people", json=request.get_json(), raise_for_status=True) as response:
            return jsonify(response.json()), 201

    return app
