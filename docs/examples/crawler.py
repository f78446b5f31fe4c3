"""A crawler: all pages of a site, a level at a time, many requests at once from one thread.

python docs/examples/server.py                               # has a site to crawl
python docs/examples/crawler.py http://localhost:8080/site/
"""

import argparse
from collections.abc import Iterator
from html.parser import HTMLParser

import syncclient
from syncclient import URL, RateLimit, Retry, Session

CONCURRENCY = 50


class Links(HTMLParser):
    """The addresses in the `<a>` elements of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value for name, value in attrs if (tag, name) == ("a", "href") and value]


def links_in(response: syncclient.Response) -> Iterator[URL]:
    """The pages of the same server that this one links to."""
    if response.content_type == "text/html":
        for href in Links(response.text(errors="replace")).found:
            try:
                url = response.url.join(URL(href)).with_fragment(None)
            except ValueError:
                continue  # what people write into links
            if url.origin() == response.url.origin():
                yield url


def open_session() -> Session:
    return Session(
        middlewares=[RateLimit(None, 1.0, per_host=200)],
        retry=Retry(budget=100),
        timeout=20,
        max_body=10_000_000,
        headers={"User-Agent": "example-crawler"},
    )


def crawl(session: Session, start: URL) -> Iterator[tuple[URL, int | str]]:
    """Yield the address and the status of every page, or what went wrong."""
    seen, level = {start}, [start]
    while level:
        found: set[URL] = set()
        with session.map(level, concurrency=CONCURRENCY, return_exceptions=True) as outcomes:
            for url, outcome in zip(level, outcomes, strict=True):
                if isinstance(outcome, Exception):
                    yield url, str(outcome)
                    continue
                yield url, outcome.status
                if outcome.ok:
                    found.update(links_in(outcome))
        level = sorted(found - seen, key=str)
        seen |= found


def main() -> None:
    parser = argparse.ArgumentParser(description="Crawl a site, and tell what its pages answer.")
    parser.add_argument("url")
    with open_session() as session:
        for url, what in crawl(session, URL(parser.parse_args().url)):
            print(what, url)


if __name__ == "__main__":
    main()
