"""The Link header (RFC 8288): quoted commas and semicolons, ``title*``, several relations.

The engine cuts headers at each semicolon, minds the case of names, and raises for one target
that is no URL. A malformed link is passed over here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from multidict import MultiDict, MultiDictProxy
from yarl import URL

from ..._urls import follow_location
from .parameters import QUOTED, extended, past, repaired, unescaped

Link = MultiDictProxy["str | URL"]

_BETWEEN = re.compile(r"[ \t,]*")
_PARAMETER = re.compile(r";([^=;,]*)(=[ \t]*)?")
_PLAIN = re.compile(r"[^;,]*")

#: Of these the first counts (RFC 8288, section 3); others may be repeated.
_ONCE = frozenset({"rel", "media", "title*", "type"})


def links(headers: Iterable[str], base: URL) -> MultiDictProxy[Link]:
    """Return the links of ``headers`` by relation, in time that grows with their length only.

    A link with several relations is there under each, in lower case unless it is a URL; one
    with none is there under its target as it was written. Never raises.

    Args:
        headers: the values of the Link headers.
        base: what relative targets are relative to.
    """
    found: MultiDict[Link] = MultiDict()
    for header in headers:
        for target, parameters in _split(header):
            try:
                url = follow_location(base, target.strip())
            except ValueError:
                continue
            link = _link(parameters)
            relations = str(link.get("rel", "")).split()
            link["url"] = url
            for relation in dict.fromkeys(relations) or (target,):
                is_url = relation is target or ":" in relation
                found.add(relation if is_url else relation.lower(), MultiDictProxy(link))
    return MultiDictProxy(found)


def _link(parameters: Iterable[tuple[str, str]]) -> MultiDict[str | URL]:
    link: MultiDict[str | URL] = MultiDict()
    for name, value in parameters:
        if name in _ONCE and name in link:
            continue
        if name.endswith("*") and (text := extended(value)) is not None:
            # It takes precedence over the one without (RFC 8288, section 3.4.1).
            link[name] = link[name.removesuffix("*")] = text
        elif name != "title" or name not in link:
            link.add(name, repaired(value))
    return link


def _split(header: str) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Yield each link's target and parameters."""
    start = 0
    while True:
        start = past(_BETWEEN, header, start)
        if header.startswith("<", start):
            stop = header.find(">", start)
            if stop < 0:
                return
            parameters, end = _parameters(header, stop + 1)
            yield header[start + 1 : stop], parameters
            start = end
        else:
            start = header.find(",", start)
            if start < 0:
                return


def _parameters(header: str, start: int) -> tuple[list[tuple[str, str]], int]:
    """Return the parameters from ``start`` to the link's end, and where that is."""
    parameters: list[tuple[str, str]] = []
    start = past(_PLAIN, header, start)
    while (match := _PARAMETER.match(header, start)) is not None:
        words, start, value = match[1].split(), match.end(), ""
        if match[2] is not None:
            quoted = QUOTED.match(header, start)
            if quoted is not None:
                value, start = unescaped(quoted[1]), quoted.end()
            else:
                plain = header[start : past(_PLAIN, header, start)]
                value = _without_marks(plain.strip())
        start = past(_PLAIN, header, start)
        if words:
            # A semicolon may be missing before it.
            parameters.append((words[-1].lower(), value))
    return parameters, start


def _without_marks(value: str) -> str:
    """Return ``value`` without the single quotation marks that others write."""
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] == "'" else value
