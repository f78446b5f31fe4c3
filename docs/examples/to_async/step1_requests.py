"""Step 1: where we start. Flask and requests.

flask --app docs/examples/to_async/step1_requests.py run
"""

import requests
from flask import Flask, Response, abort, jsonify, request


def create_app(upstream: str = "http://localhost:8080/") -> Flask:
    app = Flask(__name__)
    session = requests.Session()

    @app.get("/people/<int:number>")
    def person(number: int) -> Response:
        response = session.get(f"{upstream}people/{number}", timeout=5)
        if response.status_code == 404:
            abort(404)
        response.raise_for_status()
        return jsonify(response.json())

    @app.get("/badges")
    def badges() -> Response:
        """One badge for each of `?ids=1,2,3`: a request after the other."""
        names = []
        for number in request.args["ids"].split(","):
            response = session.get(f"{upstream}people/{number}", timeout=5)
            response.raise_for_status()
            names.append(response.json()["name"])
        return jsonify(names)

    @app.post("/people")
    def add() -> tuple[Response, int]:
        response = session.post(f"{upstream}people", json=request.get_json(), timeout=5)
        response.raise_for_status()
        return jsonify(response.json()), 201

    return app
