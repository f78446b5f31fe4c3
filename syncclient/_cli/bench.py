"""``syncclient bench``: a small load generator."""

from __future__ import annotations

import json
import sys
import time
from array import array
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import click
from rich.live import Live
from rich.text import Text

from .. import URL, Request, Response, Session
from .._models import redacted_text, redacted_url
from .bench_report import Report, drawn
from .exits import Ended, code_and_hint, describe
from .items import BodyType
from .options import Access, access_options, open_session
from .terminal import console
from .urls import full_url
from .verbs import METHODS, request_options

#: Number of requests if neither -n nor -d is given.
_REQUESTS = 1000


@click.command("bench", short_help="Put load on a URL and measure it.")
@click.argument("url")
@click.argument("items", nargs=-1, metavar="[ITEM]...")
@click.option(
    "-n",
    "--requests",
    type=click.IntRange(min=1),
    metavar="N",
    help=f"How many requests to make.  [default: {_REQUESTS}, with -d no limit]",
)
@click.option(
    "-c",
    "--concurrency",
    type=click.IntRange(min=1),
    default=10,
    show_default=True,
    metavar="N",
    help="How many at a time, each on its own connection.",
)
@click.option(
    "-d",
    "--duration",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="Start no requests after this time.",
)
@click.option(
    "-X",
    "--method",
    type=click.Choice([method.upper() for method in METHODS], case_sensitive=False),
    default="GET",
    show_default=True,
)
@click.option("--json", "as_report", is_flag=True, help="Print the report as JSON.")
@click.option("-f", "--form", "as_form", is_flag=True, help="Send fields as a form, not as JSON.")
@access_options
def bench(url: str, items: tuple[str, ...], **given: Any) -> None:
    """Send many requests to URL from one thread, and print how fast the responses were.

    Load without permission is an attack: use this on your own servers. A status of 400 or
    above is counted, but is not an error. If there was no response at all, the exit code is
    that of the first error. Ctrl-C stops and prints a report of the requests so far.
    """
    access = Access.taken_from(given)
    as_json = given["as_report"]
    count = given["requests"] or (None if given["duration"] else _REQUESTS)
    concurrency = given["concurrency"] if count is None else min(given["concurrency"], count)
    with ExitStack() as stack:
        options, _ = request_options(
            items,
            stack,
            body_type=BodyType.FORM if given["as_form"] else BodyType.JSON,
        )
        data = options.get("data")
        if data is not None and not isinstance(data, (bytes, list)):
            raise click.UsageError("a file can be sent once only: bench takes fields for its body")
        url = full_url(url)
        session = stack.enter_context(
            open_session(access, url, headers=options["headers"], limit=concurrency, timings=True)
        )
        request = Request(given["method"], url, **options)
        run = _Run(count, given["duration"], concurrency)
        with run.shown():
            run.measure(session, request)
    report = run.report(str(request.url))
    if run.interrupted and not (report.answered or report.failed):
        raise KeyboardInterrupt
    if as_json:
        click.echo(json.dumps(report.as_dict(), indent=2))
    else:
        out = console()
        out.print(drawn(report, out.width))
    if run.interrupted:
        raise KeyboardInterrupt
    if not report.answered and run.first_error is not None:
        code, hint = code_and_hint(run.first_error)
        raise Ended(code, f"nothing was answered{f' ({hint})' if hint else ''}")


@dataclass
class _Run:
    """One measurement."""

    count: int | None
    duration: float | None
    concurrency: int
    #: Seconds from the start of each request to the end of its body.
    latencies: array[float] = field(default_factory=lambda: array("d"))
    statuses: Counter[int] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    first_error: Exception | None = None
    failed: int = 0
    received: int = 0
    seconds: float = 0.0
    began: float = 0.0
    interrupted: bool = False

    def measure(self, session: Session, request: Request) -> None:
        """Send the requests, and record the outcomes. Blocks until the last is done, or Ctrl-C."""
        self.began = began = time.monotonic()
        try:
            with session.map(
                self._requests(request, began),
                concurrency=self.concurrency,
                ordered=False,
                return_exceptions=True,
            ) as outcomes:
                for outcome in outcomes:
                    if isinstance(outcome, Response):
                        self._took(outcome)
                    else:
                        self._failed(outcome)
        except KeyboardInterrupt:
            self.interrupted = True
        self.seconds = time.monotonic() - began

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show the progress on stderr, if that is a terminal, while the block runs."""
        if not sys.stderr.isatty():
            yield
            return
        # In one of rich's threads, because a silent server keeps this one waiting.
        with Live(
            console=console(stderr=True, wrapped=True),
            get_renderable=self._progress,
            refresh_per_second=5,
            transient=True,
        ):
            yield

    def _progress(self) -> Text:
        seconds = time.monotonic() - self.began if self.began else 0.0
        answered = len(self.latencies)
        of = "" if self.count is None else f" of {self.count:,}"
        limit = "" if self.duration is None else f" of {self.duration:g}"
        rate = answered / seconds if seconds else 0.0
        line = Text(no_wrap=True, overflow="ellipsis", style="dim")
        line.append(f"{answered + self.failed:,}{of} requests, {seconds:.0f}{limit} s")
        line.append(f", {rate:,.0f}/s")
        if self.failed:
            line.append(f", {self.failed:,} failed", "red")
        return line

    def _requests(self, request: Request, began: float) -> Iterator[Request]:
        number = 0
        while self.count is None or number < self.count:
            if self.duration is not None and time.monotonic() - began >= self.duration:
                return
            number += 1
            yield request

    def _took(self, response: Response) -> None:
        assert response.timings is not None
        self.latencies.append(response.timings.total)
        self.statuses[response.status] += 1
        self.received += len(response.read())

    def _failed(self, error: Exception) -> None:
        if isinstance(error, ValueError):  # a wrong argument, the same each time
            raise error
        self.failed += 1
        self.first_error = self.first_error or error
        self.errors[f"{type(error).__name__}: {redacted_text(describe(error))}"] += 1

    def report(self, url: str) -> Report:
        """Return the measurements."""
        return Report(
            url=redacted_url(URL(url)),
            concurrency=self.concurrency,
            seconds=self.seconds,
            latencies=sorted(self.latencies),
            statuses=dict(sorted(self.statuses.items())),
            errors=dict(self.errors.most_common()),
            received=self.received,
        )
