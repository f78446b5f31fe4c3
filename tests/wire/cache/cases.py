"""What a cache does with responses, request by request: the inputs of test_cases.py.

The subjects are those of the public cache-tests (cache-tests.fyi); the inputs are ours. Time does
not pass: a clock is set. A case of which the cache does the contrary says why, and the test
holds it to that.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from email.utils import formatdate

Header = tuple[str, "str | At"]

#: From the cache: the server was not asked; said 304; failed. From the server. An error.
HIT, VALIDATED, STANDS_IN = "hit", "validated", "stands in"
MISS, ERROR = "from the server", "an error"


@dataclass(frozen=True)
class At:
    """A date so many seconds from the start of the case."""

    seconds: float

    def on(self, clock: float) -> str:
        return formatdate(clock + self.seconds, usegmt=True)


@dataclass(frozen=True)
class Answer:
    """What the server says to one request."""

    headers: tuple[Header, ...] = ()
    status: int = 200
    body: bytes = b"a body"
    #: Whether it closes the connection in place of an answer.
    hangs_up: bool = False


@dataclass(frozen=True)
class Step:
    """One request: what it gets, and what it would get from the server."""

    expect: str
    answer: Answer = field(default_factory=Answer)
    headers: tuple[tuple[str, str], ...] = ()
    method: str = "GET"
    query: str = ""
    #: Seconds that pass before it.
    after: float = 0.0
    #: Whether the server answers only once the client has its response.
    held: bool = False
    status: int | None = None
    #: Headers of the response; None is for one that must not be there.
    shows: tuple[tuple[str, str | None], ...] = ()


@dataclass(frozen=True)
class Case:
    """One behaviour."""

    area: str
    name: str
    steps: tuple[Step, ...]
    #: Why the cache does not do this; its last step then comes out the other way.
    why: str = ""

    def __str__(self) -> str:
        return f"{self.area}: {self.name}"


def say(*headers: Header, status: int = 200, body: bytes = b"a body") -> Answer:
    return Answer(headers, status, body)


def cc(value: str) -> Header:
    return ("Cache-Control", value)


def twice(
    area: str,
    name: str,
    expect: str,
    *headers: Header,
    status: int = 200,
    after: float = 0.0,
    asks: Iterable[tuple[str, str]] = (),
    again: Answer | None = None,
    shows: Iterable[tuple[str, str | None]] = (),
    held: bool = False,
    why: str = "",
) -> Case:
    """The same request twice."""
    answer, second = say(*headers, status=status), again or say(*headers, status=status)
    last = Step(
        expect,
        second,
        tuple(asks),
        after=after,
        shows=tuple(shows),
        status=second.status if expect == MISS else status,
        held=held,
    )
    return Case(area, name, (Step(MISS, answer, status=status), last), why)


HOUR = cc("max-age=3600")
TAG: Header = ("ETag", '"one"')
CHANGED: Header = ("Last-Modified", At(-864000))


def freshness() -> Iterable[Case]:
    a = "Freshness"
    yield twice(a, "nothing said, no validator", MISS)
    yield twice(a, "max-age", HIT, HOUR, after=3000)
    yield twice(a, "max-age is over", MISS, HOUR, after=3601)
    yield twice(a, "max-age=0", MISS, cc("max-age=0"))
    for big in ("2147483647", "2147483648", "99999999999", "9" * 40):
        yield twice(a, f"max-age={big}", HIT, cc(f"max-age={big}"), after=10**6)
    yield twice(a, "max-age with leading zeros", HIT, cc("max-age=003600"), after=3000)
    yield twice(a, "max-age in other cases", HIT, cc("MaX-aGe=3600"))
    yield twice(a, "max-age quoted", HIT, cc('max-age="3600"'))
    yield twice(a, "max-age behind an extension", HIT, cc("foobar, max-age=3600"))
    yield twice(a, "max-age behind a quoted comma", HIT, cc('x="a, no-store", max-age=3600'))
    yield twice(a, "max-age in a quoted string", MISS, cc('x="max-age=3600", max-age=1'), after=2)
    yield twice(a, "max-age before a quoted string", MISS, cc('max-age=1, x="max-age=9"'), after=2)
    for odd in ("-3600", "'3600'", "a3600", "3600a", "3600.0", "", " 3600"):
        yield twice(a, f"max-age={odd} is no number", MISS, cc(f"max-age={odd}"))
    yield twice(a, "max-age =3600 is none", MISS, cc("max-age =3600"))
    yield twice(a, "two max-age, the first counts", HIT, cc("max-age=1800, max-age=1"), after=9)
    yield twice(a, "two max-age, the first is short", MISS, cc("max-age=1, max-age=99"), after=9)
    yield twice(a, "two lines, the first counts", HIT, cc("max-age=99"), cc("max-age=1"), after=9)
    yield twice(a, "s-maxage is for shared caches", MISS, cc("s-maxage=3600, max-age=1"), after=9)
    yield twice(a, "s-maxage alone", MISS, cc("s-maxage=3600"))
    yield twice(a, "max-age before a past Expires", HIT, HOUR, ("Expires", At(-7200)))
    yield twice(a, "max-age before a bad Expires", HIT, HOUR, ("Expires", "0"))
    yield twice(a, "max-age=0 before Expires", MISS, cc("max-age=0"), ("Expires", At(3600)))
    yield twice(a, "Expires", HIT, ("Date", At(0)), ("Expires", At(3600)), after=3000)
    yield twice(a, "Expires without a Date", HIT, ("Expires", At(3600)), after=3000)
    yield twice(a, "Expires is over", MISS, ("Date", At(0)), ("Expires", At(3600)), after=3601)
    yield twice(a, "Expires in the past", MISS, ("Expires", At(-3600)))
    yield twice(a, "Expires as Date has it", MISS, ("Date", At(0)), ("Expires", At(0)))
    yield twice(a, "Expires and an old Date", MISS, ("Date", At(-7200)), ("Expires", At(-3600)))
    yield twice(a, "an old Date", MISS, HOUR, ("Date", At(-7200)))
    yield twice(a, "a Date to come", HIT, HOUR, ("Date", At(7200)))
    yield twice(a, "no-cache", MISS, cc("max-age=3600, no-cache"))
    yield twice(a, "no-store", MISS, cc("max-age=3600, no-store"))
    yield twice(a, "NO-STORE", MISS, cc("max-age=3600, NO-STORE"))
    yield twice(a, "no-store before max-age", MISS, cc("no-store, max-age=3600"))
    yield twice(a, "private", HIT, cc("max-age=3600, private"))
    yield twice(a, "immutable", HIT, cc("max-age=3600, immutable"))
    # A response of a server that has set the clock right.
    yield twice(
        a,
        "no-store in a later response",
        HIT,
        HOUR,
        again=say(cc("no-store")),
    )


def dates() -> Iterable[Case]:
    a = "Dates"
    for good in (
        "Tue, 19 Jan 2038 14:14:08 GMT",
        "Sun, 21 Nov 2286 04:46:39 GMT",
        "Thursday, 18-Aug-50 02:01:18 GMT",
        "Thu Aug  8 02:01:18 2050",
        "THU, 18 Aug 2050 02:01:18 GMT",
        "Thu, 18 AUG 2050 02:01:18 GMT",
        "Thu, 18 Aug 2050 02:01:18 gMT",
    ):
        yield twice(a, good, HIT, ("Expires", good))
    for bad in (
        "Thu, 18 Aug 2050 02:01:18 UTC",
        "Thu, 18 Aug 2050 02:01:18 AEST",
        "Thu, 18 Aug 50 02:01:18 GMT",
        "Thu 18 Aug 2050 02:01:18 GMT",
        "Thu, 18  Aug  2050 02:01:18 GMT",
        "Thu, 18-Aug-2050 02:01:18 GMT",
        "Thu, 18 Aug 2050 02.01.18 GMT",
        "Thu, 18 Aug 2050 2:01:18 GMT",
        "Thu, 18 Aug 99999 02:01:18 GMT",
        "0",
        "-1",
        "tomorrow",
    ):
        yield twice(a, f"{bad} is none", MISS, ("Expires", bad))


def ages() -> Iterable[Case]:
    a = "Age"
    yield twice(a, "is added", HIT, HOUR, after=30, shows=[("Age", "30")])
    yield twice(
        a, "goes on from the server's", HIT, HOUR, ("Age", "40"), after=2, shows=[("Age", "42")]
    )
    yield twice(a, "is more than max-age", MISS, HOUR, ("Age", "7200"))
    yield twice(a, "makes it stale sooner", MISS, HOUR, ("Age", "3000"), after=601)
    for odd in ("abc", "-7200", "7200.0", "7200;foo=bar"):
        yield twice(a, f"{odd} is no age", HIT, HOUR, ("Age", odd))
    for huge in ("2147483647", "2147483648", "9" * 30):
        yield twice(a, huge, MISS, HOUR, ("Age", huge))
    yield twice(a, "7200, 0 on one line", MISS, HOUR, ("Age", "7200, 0"))
    yield twice(a, "0, 7200 on one line", HIT, HOUR, ("Age", "0, 7200"))
    yield twice(a, "7200 and 0 on two lines", MISS, HOUR, ("Age", "7200"), ("Age", "0"))
    yield twice(a, "0 and 7200 on two lines", HIT, HOUR, ("Age", "0"), ("Age", "7200"))
    yield twice(a, "Date stays", HIT, HOUR, ("Date", At(0)), after=9, shows=[("Date", "@0")])
    yield twice(a, "Expires stays", HIT, ("Expires", At(60)), after=9, shows=[("Expires", "@60")])


def heuristics() -> Iterable[Case]:
    a = "Heuristic freshness"
    for status in (200, 203, 204, 404, 405, 410, 414, 501):
        yield twice(a, f"{status} with Last-Modified", HIT, CHANGED, status=status)
    for status in (201, 202, 403, 502, 503, 504, 599):
        yield twice(a, f"{status} with Last-Modified", MISS, CHANGED, status=status)
    yield twice(a, "599 that is public", HIT, CHANGED, cc("public"), status=599)
    yield twice(a, "changed a second ago", VALIDATED, ("Last-Modified", At(-1)), after=1)
    yield twice(a, "for a tenth of the time", HIT, ("Last-Modified", At(-1000)), after=90)
    yield twice(a, "for no more than that", VALIDATED, ("Last-Modified", At(-1000)), after=110)
    yield twice(a, "for a day at most", VALIDATED, ("Last-Modified", At(-(10**8))), after=90000)
    yield twice(a, "Last-Modified to come", VALIDATED, ("Last-Modified", At(900)), after=1)


def statuses() -> Iterable[Case]:
    a = "Status"
    for status in (200, 203, 204, 299, 404, 405, 410, 414, 499, 500, 501, 502, 503, 504, 599):
        yield twice(a, f"{status} with max-age", HIT, HOUR, status=status)
        yield twice(a, f"{status}, no longer fresh", MISS, HOUR, status=status, after=3601)
    for status in (301, 302, 303, 307, 308):
        yield twice(a, f"{status} with max-age", HIT, HOUR, ("Location", "/"), status=status)
    yield twice(a, "206 is a part", MISS, HOUR, ("Content-Range", "bytes 0-5/9"), status=206)
    both = cc("max-age=3600, no-store, must-understand")
    yield twice(a, "must-understand, understood", HIT, both)
    yield twice(a, "must-understand, not understood", MISS, both, status=599)


def requests() -> Iterable[Case]:
    a = "Cache-Control of a request"

    def ask(name: str, expect: str, value: str, *headers: Header, after: float = 0.0) -> Case:
        return twice(a, name, expect, *headers, after=after, asks=[("Cache-Control", value)])

    yield ask("max-age=0", MISS, "max-age=0", HOUR)
    yield ask("max-age, and older", MISS, "max-age=1", HOUR, after=2)
    yield ask("max-age, and younger", HIT, "max-age=9", HOUR, after=2)
    yield ask("max-age counts Age", MISS, "max-age=600", HOUR, ("Age", "1800"))
    yield ask("max-stale", HIT, "max-stale=1000", HOUR, after=3700)
    yield ask("max-stale counts Age", HIT, "max-stale=1000", cc("max-age=1500"), ("Age", "2000"))
    yield ask("max-stale is over", MISS, "max-stale=9", HOUR, after=3700)
    yield ask("max-stale without a limit", HIT, "max-stale", HOUR, after=10**6)
    yield ask(
        "max-stale, must-revalidate", MISS, "max-stale", cc("max-age=1, must-revalidate"), after=9
    )
    yield ask("min-fresh", MISS, "min-fresh=2000", cc("max-age=1500"))
    yield ask("min-fresh is left", HIT, "min-fresh=200", cc("max-age=1500"))
    yield ask("min-fresh counts Age", MISS, "min-fresh=1000", cc("max-age=1500"), ("Age", "1000"))
    yield ask("no-cache", MISS, "no-cache", HOUR)
    yield ask("no-cache with Last-Modified", VALIDATED, "no-cache", HOUR, CHANGED)
    yield ask("no-cache with ETag", VALIDATED, "no-cache", HOUR, TAG)
    yield ask("no-store", MISS, "no-store", HOUR)
    yield ask("only-if-cached, and it is", HIT, "only-if-cached", HOUR)
    oic = (("Cache-Control", "only-if-cached"),)
    yield Case(a, "only-if-cached, and it is not", (Step(HIT, headers=oic, status=504),))
    stale = Step(HIT, headers=oic, after=3700, status=504)
    yield Case(a, "only-if-cached, and stale", (Step(MISS, say(HOUR, TAG)), stale))
    yield twice(a, "Pragma: no-cache", MISS, HOUR, asks=[("Pragma", "no-cache")])
    yield twice(
        a,
        "Pragma, beside Cache-Control",
        HIT,
        HOUR,
        asks=[("Pragma", "no-cache"), cc_("max-stale")],
    )
    yield twice(a, "another Pragma", HIT, HOUR, asks=[("Pragma", "foo")])
    yield twice(a, "Pragma of a response", HIT, HOUR, ("Pragma", "no-cache"))
    stored = Step(MISS, say(HOUR), (cc_("no-store"),))
    yield Case(a, "no-store is not stored", (stored, Step(MISS, say(HOUR))))


def cc_(value: str) -> tuple[str, str]:
    return ("Cache-Control", value)


def validation() -> Iterable[Case]:
    a = "Validation"
    stale = cc("max-age=1")
    yield twice(a, "by ETag", VALIDATED, stale, TAG, after=2)
    yield twice(a, "by a weak ETag", VALIDATED, stale, ("ETag", 'W/"one"'), after=2)
    yield twice(a, "by an ETag that is not quoted", VALIDATED, stale, ("ETag", "one"), after=2)
    yield twice(a, "by Last-Modified", VALIDATED, stale, CHANGED, after=2)
    yield twice(a, "no-cache is validated", VALIDATED, cc("no-cache"), TAG)
    yield twice(a, "it has changed", MISS, stale, TAG, after=2, again=say(stale, ("ETag", '"two"')))
    new = say(HOUR, ("ETag", '"two"'), ("X-New", "yes"))
    third = Step(HIT, shows=(("X-New", "yes"),))
    first = Step(MISS, say(stale, TAG))
    yield Case(a, "what has changed is stored", (first, Step(MISS, new, after=2), third))
    fresh = Step(VALIDATED, say(HOUR, TAG), after=2)
    yield Case(a, "a 304 makes it fresh again", (first, fresh, Step(HIT, after=3000)))
    kept = say(stale, TAG, ("X-Kept", "yes"), ("X-Changed", "old"), ("Content-Type", "text/x"))
    update = say(
        HOUR,
        TAG,
        ("X-Changed", "new"),
        ("X-Added", "yes"),
        ("Content-Type", "text/y"),
        ("Connection", "X-Hop"),
        ("X-Hop", "1"),
    )
    shows = (
        ("X-Kept", "yes"),
        ("X-Changed", "new"),
        ("X-Added", "yes"),
        ("Content-Type", "text/x"),
        ("X-Hop", None),
    )
    steps = (
        Step(MISS, kept),
        Step(VALIDATED, update, after=2, shows=shows),
        Step(HIT, shows=shows),
    )
    yield Case(a, "a 304 updates headers", steps)
    only_tag = (Step(MISS, say(stale, TAG, ("Content-Length", "6"))),)
    yield Case(
        a,
        "a 304 does not change the length",
        (*only_tag, Step(VALIDATED, update, after=2, shows=(("Content-Length", "6"),))),
    )
    gone = Step(MISS, say(status=404), after=2, status=404)
    yield Case(a, "a 404 drops what was stored", (first, gone, Step(MISS)))
    forbids = Step(MISS, say(cc("no-store")), (cc_("no-cache"),))
    yield Case(a, "a new one that is not stored", (Step(MISS, say(HOUR)), forbids, Step(MISS)))


def stale() -> Iterable[Case]:
    a = "Stale responses"
    hangs_up, down = Answer(hangs_up=True), say(status=503)
    sie = "max-age=2, stale-if-error=60"
    yield twice(a, "the server hangs up", ERROR, HOUR, after=3700, again=hangs_up)
    for name, again, bad in (("it hangs up", hangs_up, ERROR), ("503", down, MISS)):
        yield twice(a, f"stale-if-error, {name}", STANDS_IN, cc(sie), after=30, again=again)
        yield twice(a, f"stale-if-error is over, {name}", bad, cc(sie), after=63, again=again)
        for forbids in ("no-cache", "must-revalidate"):
            said = cc(f"{sie}, {forbids}")
            yield twice(a, f"{forbids}, {name}", bad, said, TAG, after=30, again=again)
        yield twice(
            a,
            f"stale-if-error of the request, {name}",
            STANDS_IN,
            cc("max-age=2"),
            after=30,
            again=again,
            asks=[cc_("stale-if-error=60")],
        )
    yield twice(a, "stale-if-error, 404", MISS, cc(sie), after=30, again=say(status=404))
    swr = "max-age=1, stale-while-revalidate=60"
    yield twice(a, "stale-while-revalidate", HIT, cc(swr), TAG, after=30, held=True)
    yield twice(a, "stale-while-revalidate is over", VALIDATED, cc(swr), TAG, after=62)
    forbidden = cc(f"{swr}, must-revalidate")
    yield twice(a, "stale-while-revalidate, must-revalidate", VALIDATED, forbidden, TAG, after=9)


def variants() -> Iterable[Case]:
    a = "Vary"
    vary: Header = ("Vary", "Foo")

    def ask(value: str | None) -> tuple[tuple[str, str], ...]:
        return () if value is None else (("Foo", value),)

    def pair(
        name: str, expect: str, one: str | None, two: str | None, header: Header = vary
    ) -> Case:
        answer = say(HOUR, header)
        return Case(a, name, (Step(MISS, answer, ask(one)), Step(expect, answer, ask(two))))

    yield pair("the same value", HIT, "1", "1")
    yield pair("another value", MISS, "1", "2")
    yield pair("then without", MISS, "1", None)
    yield pair("first without", MISS, None, "1")
    yield pair("both without", HIT, None, None)
    yield pair("of other headers", HIT, "1", "2", ("Vary", "Bar"))
    yield pair("*", MISS, "1", "1", ("Vary", "*"))
    yield pair("* among others", MISS, "1", "1", ("Vary", "Foo, *"))
    yield pair("in other cases", HIT, "1", "1", ("Vary", "fOO"))
    yield pair("spaces do not count", HIT, "1,2", "1, 2")
    yield pair("the order counts", MISS, "1, 2", "2, 1")
    yield pair("empty members", MISS, "1", "2", ("Vary", ", ,Foo,"))
    one, two = Step(MISS, say(HOUR, vary), ask("1")), Step(MISS, say(HOUR, vary), ask("2"))
    yield Case(
        a, "both are kept", (one, two, Step(HIT, headers=ask("1")), Step(HIT, headers=ask("2")))
    )
    lines = (("Foo", "1"), ("Foo", "2"))
    yield Case(
        a, "lines are joined", (Step(MISS, say(HOUR, vary), lines), Step(HIT, headers=ask("1, 2")))
    )
    yield Case(
        a,
        "a variant that is not there is validated by the ETags of others",
        (
            Step(MISS, say(HOUR, vary, TAG), ask("1")),
            Step(VALIDATED, say(HOUR, vary, TAG), ask("2")),
        ),
        "allowed, and of use to few: the server is asked for the whole",
    )


def methods() -> Iterable[Case]:
    a = "Methods"
    first, last = Step(MISS, say(HOUR)), Step(MISS, say(HOUR))
    for method in ("POST", "PUT", "DELETE", "PATCH", "M-SEARCH"):
        yield Case(a, f"{method} makes it wrong", (first, Step(MISS, say(), method=method), last))
        failed = Step(MISS, say(status=500), method=method, status=500)
        yield Case(a, f"{method} that fails does not", (first, failed, Step(HIT)))
    for method in ("HEAD", "OPTIONS"):
        after = Step(HIT if method == "HEAD" else MISS, say(), method=method)
        yield Case(a, f"{method} does not", (first, after, Step(HIT)))
    yield Case(a, "HEAD is answered by what GET got", (first, Step(HIT, method="HEAD")))
    yield Case(a, "HEAD is not stored", (Step(MISS, say(HOUR), method="HEAD"), first))
    for name in ("Location", "Content-Location"):
        other = Step(MISS, say(HOUR), query="?other")
        post = Step(MISS, say((name, "?other")), method="POST")
        yield Case(a, f"POST makes its {name} wrong", (other, post, other))
        alien = Step(MISS, say((name, "http://other.test/?other")), method="POST")
        yield Case(a, f"{name} on another server", (other, alien, Step(HIT, query="?other")))
    stored = say(HOUR, ("Content-Location", ""))
    yield Case(
        a,
        "POST with a Content-Location of its own is stored for GET",
        (Step(MISS, stored, method="POST"), Step(HIT)),
        "allowed, and done by hardly any cache",
    )


def fields() -> Iterable[Case]:
    a = "Stored headers"
    listed = [HOUR, ("Connection", "X-A, x-b"), ("X-A", "1"), ("X-B", "2"), ("X-C", "3")]
    yield twice(
        a,
        "those of the connection are not",
        HIT,
        *listed,
        shows=[("X-A", None), ("X-B", None), ("X-C", "3")],
    )
    for name, value in (
        ("Keep-Alive", "timeout=5"),
        ("Proxy-Authenticate", "Basic"),
        ("Proxy-Authentication-Info", "x"),
        ("Proxy-Connection", "x"),
    ):
        yield twice(a, f"{name} is not", HIT, HOUR, (name, value), shows=[(name, None)])
    for name, value in (
        ("X-Test", "1"),
        ("Content-Foo", "1"),
        ("Content-Type", "text/x"),
        ("Content-Location", "/foo"),
        ("Content-Security-Policy", "default-src 'self'"),
        ("Clear-Site-Data", "cookies"),
        ("ETag", '"x"'),
        ("X-Frame-Options", "deny"),
    ):
        yield twice(a, f"{name} is", HIT, HOUR, (name, value), shows=[(name, value)])
    yield twice(
        a,
        "Set-Cookie is not: the jar has it",
        HIT,
        HOUR,
        ("Set-Cookie", "a=b; Path=/elsewhere"),
        shows=[("Set-Cookie", None)],
    )
    named = cc('max-age=3600, no-cache="X-Foo, x-bar"')
    yield twice(
        a,
        "those that no-cache names are not",
        HIT,
        named,
        ("X-Foo", "1"),
        ("X-Bar", "2"),
        ("X-Baz", "3"),
        shows=[("X-Foo", None), ("X-Bar", None), ("X-Baz", "3")],
    )


def partial() -> Iterable[Case]:
    a = "Parts"
    ask = (("Range", "bytes=0-1"),)
    whole = Step(MISS, say(HOUR))
    part = say(HOUR, ("Content-Range", "bytes 0-1/6"), status=206, body=b"a ")
    from_server = Step(MISS, part, ask, status=206)
    yield Case(a, "a request for a part goes past", (whole, from_server, Step(HIT)))
    why = "requests for parts go past the cache: Session.download resumes by itself"
    yield Case(a, "a part of what is stored whole", (whole, Step(HIT, part, ask, status=206)), why)
    yield Case(a, "a part of that part", (from_server, Step(HIT, part, ask, status=206)), why)
    for name in ("If-None-Match", "If-Modified-Since", "If-Match", "If-Unmodified-Since"):
        own = Step(MISS, say(HOUR), ((name, '"x"'),))
        yield Case(a, f"{name} of your own goes past", (whole, own))
    yield Case(
        a,
        "If-None-Match of your own is answered",
        (Step(MISS, say(HOUR, TAG)), Step(HIT, headers=(("If-None-Match", '"one"'),), status=304)),
        "conditions of your own are for the server",
    )


def urls() -> Iterable[Case]:
    a = "URLs"
    first = Step(MISS, say(HOUR), query="?a=1")
    yield Case(a, "another query", (first, Step(MISS, say(HOUR), query="?a=2")))
    yield Case(a, "the same query", (first, Step(HIT, query="?a=1")))
    yield Case(a, "a fragment does not count", (first, Step(HIT, query="?a=1#part")))


def credentials() -> Iterable[Case]:
    a = "Credentials"
    mine, other = (("Authorization", "Bearer me"),), (("Authorization", "Bearer you"),)
    for name, value in (
        ("Authorization", "Bearer me"),
        ("Cookie", "sid=1"),
        ("X-Api-Key", "k"),
        ("X-Auth-Token", "t"),
    ):
        first = Step(MISS, say(HOUR), ((name, value),))
        yield Case(a, f"{name}: for its sender", (first, Step(HIT, headers=((name, value),))))
        yield Case(a, f"{name}: not for others", (first, Step(MISS, say(HOUR), ((name, "x=y"),))))
        yield Case(a, f"{name}: not for those without", (first, Step(MISS, say(HOUR))))
    public = say(cc("max-age=3600, public"))
    yield Case(
        a, "public: for all", (Step(MISS, public, mine), Step(HIT, headers=other), Step(HIT))
    )
    yield Case(a, "of nobody's request: for all", (Step(MISS, say(HOUR)), Step(HIT, headers=mine)))
    private = say(cc("max-age=3600, public, private"))
    yield Case(
        a,
        "public and private: for its sender",
        (Step(MISS, private, mine), Step(MISS, private, other)),
    )
    for directive in ("must-revalidate", "s-maxage=3600"):
        answer = say(cc(f"max-age=3600, {directive}"))
        yield Case(
            a,
            f"{directive} makes it public",
            (Step(MISS, answer, mine), Step(HIT, answer, other)),
            "a private cache: only `public` says that it is for all",
        )


CASES = [
    case
    for area in (
        *(freshness, dates, ages, heuristics, statuses, requests, validation, stale, variants),
        *(methods, fields, partial, urls, credentials),
    )
    for case in area()
]
