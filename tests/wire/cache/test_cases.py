"""HTTPCache, against what RFC 9111 and RFC 5861 say: the cases of cases.py, on real sockets."""

import threading
from collections import Counter
from email.utils import formatdate
from pathlib import Path

import pytest

from syncclient import ClientConnectionError, HTTPCache, Response, Session
from tests.bounds import BOUND, wait_until
from tests.servers.process import ROOT
from tests.servers.raw import RawConnection, RawRequest, StartRawServer

from .cases import CASES, ERROR, HIT, MISS, STANDS_IN, VALIDATED, At, Case, Step

#: A round second: dates have no fractions.
START = 1_900_000_000.0


class Origin:
    """Answers as the current step says, and 304 where a request has its validators."""

    def __init__(self) -> None:
        self.step = Step(MISS)
        #: Opened by who has the response.
        self.gate = threading.Event()
        #: The status of each answer; 0 where it hung up.
        self.answers: list[int] = []

    def __call__(self, conn: RawConnection) -> None:
        while True:
            request = conn.read_request()
            step = self.step
            answer = step.answer
            if step.held:
                assert self.gate.wait(BOUND)
            if answer.hangs_up:
                self.answers.append(0)
                return
            sent = [(n, v.on(START) if isinstance(v, At) else v) for n, v in answer.headers]
            status, body = answer.status, answer.body
            if self._is_right(step, request, dict(sent)):
                # The length of what it does not send, which changes nothing.
                status, body = 304, b"a longer body"
            self.answers.append(status)
            if status != 204:
                sent.append(("Content-Length", str(len(body))))
            lines = "".join(f"{name}: {value}\r\n" for name, value in sent)
            conn.send(f"HTTP/1.1 {status} Said\r\n{lines}\r\n".encode("latin-1"))
            if request.method != "HEAD" and status not in (204, 304):
                conn.send(body)

    def _is_right(self, step: Step, request: RawRequest, said: dict[str, str]) -> bool:
        """Whether the request has conditions of the cache's that hold."""
        if any(name.startswith("If-") for name, _ in step.headers):
            return False
        tag, since = request.header("If-None-Match"), request.header("If-Modified-Since")
        if tag:
            return tag == said.get("ETag")
        return bool(since) and since == said.get("Last-Modified")


def outcome(origin: Origin, step: Step, session: Session, url: str) -> tuple[str, Response | None]:
    """Where the answer to one request came from."""
    origin.step = step
    before = len(origin.answers)
    url += step.query
    try:
        response = session.request(
            step.method, url, headers=list(step.headers), allow_redirects=False
        )
        response.read()
    except ClientConnectionError:
        return ERROR, None
    answers = origin.answers[before:]
    origin.gate.set()
    if not answers:
        return HIT, response  # a 504 is made by the cache
    if not response.from_cache:
        return MISS, response
    return (VALIDATED if 304 in answers else STANDS_IN), response


@pytest.mark.parametrize("case", CASES, ids=str)
def test_case(case: Case, raw_server: StartRawServer, tmp_path: Path) -> None:
    """Each request of a case is answered from where it should be, with the headers it should."""
    origin = Origin()
    cache = HTTPCache(tmp_path / "cache.db", max_age=10.0**9)
    clock = START
    cache._now = lambda: clock
    with Session(middlewares=[cache]) as session:
        url = raw_server(origin).url + "/case"
        for number, step in enumerate(case.steps, 1):
            clock += step.after
            got, response = outcome(origin, step, session, url)
            if case.why and number == len(case.steps):
                assert got != step.expect
                continue
            assert got == step.expect, f"request {number}"
            if response is None:
                continue
            if step.status is not None:
                assert response.status == step.status
            if got in (HIT, VALIDATED) and step.method == "GET" and response.status == 200:
                assert response.read() == b"a body"
            for name, value in step.shows:
                if value is not None and value.startswith("@"):
                    value = formatdate(START + float(value[1:]), usegmt=True)
                assert response.headers.get(name) == value
        loops = cache._loops.every()
        wait_until(lambda: not any(here.validating for here in loops), "nothing is being validated")


def table() -> str:
    """The table of the page: per subject how many cases, how many as asked, and why not."""
    lines = [
        "| subject | cases | as the RFCs ask or allow | otherwise, and why |",
        "|---|---|---|---|",
    ]
    total = Counter(case.area for case in CASES)
    for area, count in total.items():
        refused = [case for case in CASES if case.area == area and case.why]
        why = "; ".join(f"{case.name}: {case.why}" for case in refused) or ""
        lines.append(f"| {area} | {count} | {count - len(refused)} | {why} |")
    refusals = sum(1 for case in CASES if case.why)
    lines.append(f"| all | {len(CASES)} | {len(CASES) - refusals} | {refusals} |")
    return "\n".join(lines) + "\n"


def test_the_page_has_the_table() -> None:
    """The page on the cache says what these cases say."""
    assert table() in (ROOT / "docs" / "topics" / "cache.md").read_text(encoding="utf-8")
