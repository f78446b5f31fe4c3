"""Step 3: one view is asynchronous, the others are not. They share the session.

Flask runs each call of an asynchronous view in a new event loop: needs Flask[async].

flask --app docs/examples/to_async/step3_async_views.py run
"""

import asyncio

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

    async def name_of(number: str) -> str:
        async with session.aio.get(f"people/{number}", raise_for_status=True) as response:
            name: str = (await response.json())["name"]
            return name

    @app.get("/badges")
    async def badges() -> Response:
        """One badge for each of `?ids=1,2,3`: a task for each."""
        numbers = request.args["ids"].split(",")
        return jsonify(await asyncio.gather(*map(name_of, numbers)))

    @app.post("/people")
    def add() -> tuple[Response, int]:
        with session.post("people", json=request.get_json(), raise_for_status=True) as response:
            return jsonify(response.json()), 201

    return app
