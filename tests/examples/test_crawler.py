"""docs/examples/crawler.py, on the site of the server of the examples."""

from __future__ import annotations

from docs.examples import crawler
from syncclient import URL
from tests.children import RunChild
from tests.servers.process import ROOT


def test_all_pages_once(upstream: str) -> None:
    """Every page is asked for once, level by level, and the one that is missing is told of."""
    start = URL(upstream) / "site/"
    with crawler.open_session() as session:
        outcomes = list(crawler.crawl(session, start))
    addresses = [url for url, _ in outcomes]
    assert addresses[0] == start
    assert len(set(addresses)) == len(addresses)
    pages = {url.name: what for url, what in outcomes[1:]}
    assert pages == {**{str(number): 200 for number in range(31)}, "31": 404}


def test_errors_do_not_end_it() -> None:
    """A page that cannot be had is yielded with its error."""
    with crawler.open_session() as session:
        ((url, what),) = crawler.crawl(session, URL("http://127.0.0.1:1/"))
    assert url.port == 1
    assert "Connection refused by 127.0.0.1:1 (" in str(what)


def test_the_program(run_child: RunChild, upstream: str) -> None:
    """The program prints a status and an address for each page."""
    script = ROOT / "docs" / "examples" / "crawler.py"
    child = run_child(script, f"{upstream}site/", flags=("-W", "error"))
    assert (child.status, child.stderr) == (0, "")
    lines = child.stdout.splitlines()
    assert len(lines) == 33
    assert lines[0] == f"200 {upstream}site/"
    assert f"404 {upstream}site/31" in lines
