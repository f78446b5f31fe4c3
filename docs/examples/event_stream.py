"""Print the answer of a language model as it comes: server-sent events in reply to a POST.

python docs/examples/server.py                               # plays the model
python docs/examples/event_stream.py "What is a stream?"

`API_URL` and `API_KEY` point it elsewhere; each vendor has fields of its own in its events.
"""

import argparse
import os
import sys
from collections.abc import Iterator

import syncclient

API_URL = os.environ.get("API_URL", "http://localhost:8080/events")


class IncompleteAnswerError(Exception):
    """The stream ended before the model had said so."""


def answer(session: syncclient.Session, question: str) -> Iterator[str]:
    """Yield the words of the answer. Whoever stops early closes the stream, and so the bill."""
    with session.sse(
        API_URL,
        method="POST",
        json={"stream": True, "messages": [{"role": "user", "content": question}]},
        reconnects=0,  # another connection would ask the question again
        idle_timeout=60,  # seconds without a byte
    ) as events:
        for event in events:
            if event.data == "[DONE]":
                return
            if event.event == "error":
                raise RuntimeError(event.data)
            yield event.json()["delta"]
    raise IncompleteAnswerError("the answer broke off")


def open_session() -> syncclient.Session:
    key = os.environ.get("API_KEY")
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    # A model that is too busy says 429 or 503 instead of beginning: that may be tried again.
    # methods: a POST may, where asking twice does no harm.
    retry = syncclient.Retry(methods={"POST"}, backoff=1.0)
    return syncclient.Session(headers=headers, retry=retry)


def main() -> int:
    parser = argparse.ArgumentParser(description="Ask a language model.")
    parser.add_argument("question")
    question = parser.parse_args().question
    with open_session() as session:
        try:
            for word in answer(session, question):
                print(word, end="", flush=True)
        except KeyboardInterrupt:
            return 130
        except (syncclient.ClientError, IncompleteAnswerError) as error:
            print(f"\n{error}", file=sys.stderr)
            return 1
        finally:
            print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
