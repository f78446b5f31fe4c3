"""Responses in notebooks: standalone HTML, without secrets.

Nearly all of the text comes from servers and users, so ``text_of`` escapes all of it. Colours are
set only where they have a meaning, because pages may be light or dark.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .._models import Attempt, Head, Timings
from .redaction import shown_header, url_text

_STATUS_COLOURS = {2: "#1a7f37", 3: "#0969da", 4: "#9a6700", 5: "#cf222e"}
_PHASE_COLOURS = {
    "pool": "#8c959f",
    "dns": "#1b7c83",
    "connect": "#bc4c00",
    "tls": "#8250df",
    "send": "#9a6700",
    "wait": "#1a7f37",
    "body": "#0969da",
    "middleware": "#bf3989",
}
#: Maximum number of headers that are shown; a server may send many more.
_MOST = 200
_CELL = "text-align:left;padding:1px 12px 1px 0;vertical-align:top;word-break:break-word"


def response_html(head: Head, timings: Timings | None, attempts: Sequence[Attempt]) -> str:
    """Return the status line, a bar of the timings, and the collapsed headers."""
    colour = _STATUS_COLOURS.get(head.status // 100, "#57606a")
    badge = _styled(
        "span",
        f"background:{colour};color:#fff;border-radius:4px;padding:1px 8px;font-weight:600",
        text_of(f"{head.status} {head.reason or ''}".strip()),
    )
    url = url_text(head.url, secrets=False)
    parts = [f"<div>{badge} <code>{text_of(head.method)} {text_of(url)}</code></div>"]
    if timings is not None:
        parts.append(_timings(timings))
    if head.history:
        hops = [
            (str(hop.status), f"{hop.method} {url_text(hop.url, secrets=False)}")
            for hop in head.history
        ]
        parts.append(folded(f"redirects: {len(hops)}", hops))
    if len(attempts) > 1:
        tried = [(str(each.number), str(each.status or each.error)) for each in attempts]
        parts.append(folded(f"attempts: {len(tried)}", tried))
    parts.append(_headers("response headers", head.headers.items()))
    parts.append(_headers("request headers", head.request_info.headers.items()))
    return f"<div>{''.join(parts)}</div>"


def _timings(timings: Timings) -> str:
    spent = [
        (name, seconds)
        for name, seconds in timings._asdict().items()
        if name != "total" and seconds
    ]
    whole = sum(seconds for _, seconds in spent) or 1.0
    bar = "".join(
        _styled(
            "span",
            f"display:inline-block;height:10px;width:{100 * seconds / whole:.2f}%;"
            f"background:{_PHASE_COLOURS[name]}",
            "",
            title=f"{name} {_time(seconds)}",
        )
        for name, seconds in spent
    )
    legend = " ".join(
        _styled("span", f"color:{_PHASE_COLOURS[name]}", f"&#9632;</span><span> {name} {_time(s)}")
        for name, s in spent
    )
    line = _styled("div", "width:100%;max-width:480px;font-size:0;margin:4px 0", bar)
    return f"{line}<div>{legend} total {_time(timings.total)}</div>"


def _time(seconds: float) -> str:
    return f"{1000 * seconds:.1f} ms" if seconds < 1 else f"{seconds:.2f} s"


def _headers(title: str, headers: Iterable[tuple[str, str]]) -> str:
    shown = [(name, shown_header(name, value, secrets=False)) for name, value in headers]
    return folded(f"{title}: {len(shown)}", shown)


def folded(title: str, rows: Sequence[tuple[str, str]]) -> str:
    """Return a collapsed table, which a click expands."""
    return f"<details><summary>{text_of(title)}</summary>{table(rows)}</details>"


def table(rows: Sequence[tuple[str, str]]) -> str:
    """Return a table of names and values."""
    lines = [
        f"<tr>{''.join(_styled('td', _CELL, text_of(cell)) for cell in row)}</tr>"
        for row in rows[:_MOST]
    ]
    if len(rows) > _MOST:
        lines.append(f"<tr><td>and {len(rows) - _MOST} more</td></tr>")
    return f"<table>{''.join(lines)}</table>"


def _styled(tag: str, style: str, inner: str, *, title: str = "") -> str:
    told = f' title="{text_of(title)}"' if title else ""
    return f'<{tag} style="{style}"{told}>{inner}</{tag}>'


def text_of(text: str) -> str:
    """Return ``text`` as HTML that shows it."""
    # Imported here, because it loads a large table of entities, and no request needs it.
    from html import escape

    return escape(text.encode("utf-8", "replace").decode(), quote=True)
