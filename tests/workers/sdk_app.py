"""A Flask app that calls a model by openai's SDK, and an API by requests: both on this engine.

Its clients are used before any server forks.
"""

import os

import flask
import openai

from syncclient import requests
from syncclient.httpx2 import Client

UPSTREAM = os.environ["UPSTREAM"]

model = openai.OpenAI(
    api_key="key", base_url=f"{UPSTREAM}v1", http_client=Client(timeout=20), max_retries=0
)
api = requests.Session()
app = flask.Flask(__name__)


def complete(question: str) -> str | None:
    """Ask the model, which says what it is told."""
    completion = model.chat.completions.create(
        model="echo", messages=[{"role": "user", "content": question}]
    )
    return completion.choices[0].message.content


@app.get("/model")
def ask_model() -> dict[str, object]:
    """Ask by the SDK."""
    return {"pid": os.getpid(), "answer": complete(flask.request.args["q"])}


@app.get("/api")
def ask_api() -> dict[str, object]:
    """Ask by the names of requests."""
    response = api.get(f"{UPSTREAM}said", params={"q": flask.request.args["q"]}, timeout=20)
    response.raise_for_status()
    return {"pid": os.getpid(), "answer": response.json()["said"]}


complete("before the fork")
api.get(f"{UPSTREAM}said", params={"q": "before the fork"}, timeout=20).raise_for_status()
