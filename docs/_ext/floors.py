"""The ``floors`` directive: the picture of who imports whom, drawn from the source at each build.

It reads the imports by the functions of tests/test_layers.py, so that the picture and the test
cannot tell different things. Inline SVG in the theme's colours: it follows the dark mode.
"""

from __future__ import annotations

import sys
import textwrap
from collections import Counter
from collections.abc import Iterator
from html import escape
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT))
from tests import test_layers as layers  # noqa: E402  # found by the line above

WIDTH = 760
MARGIN, GAP, LINE = 8, 56, 16
#: Pixels that a character of the small monospaced text takes, more rather than less.
CHARACTER = 6.4

KNOWS = {
    "face": "what users hold; blocking, no HTTP",
    "boundary": "the two threads, and the way across",
    "core": "HTTP: the async client",
    "ground": "values, errors, types",
}


class Box:
    """One floor: a frame, a title, and its modules in lines."""

    def __init__(self, floor: str, x: float, y: float, width: float, lines: list[str]) -> None:
        self.floor, self.x, self.y, self.width, self.lines = floor, x, y, width, lines
        self.height = LINE * len(lines) + 40

    @property
    def bottom(self) -> float:
        return self.y + self.height

    @property
    def middle(self) -> float:
        return self.x + self.width / 2

    def svg(self) -> Iterator[str]:
        yield (
            f'<rect x="{self.x}" y="{self.y}" width="{self.width}" height="{self.height}" rx="6" '
            'fill="var(--color-background-secondary)" stroke="var(--color-brand-primary)"/>'
        )
        yield (
            f'<text x="{self.x + 12}" y="{self.y + 22}" font-size="14" font-weight="bold">'
            f'{self.floor}<tspan font-weight="normal" font-size="12" dx="8">'
            f"{escape(KNOWS[self.floor])}</tspan></text>"
        )
        for number, line in enumerate(self.lines):
            yield (
                f'<text x="{self.x + 12}" y="{self.y + 42 + number * LINE}" font-size="10.5" '
                f'font-family="monospace" xml:space="preserve">{escape(line)}</text>'
            )


def wrapped(names: list[str], width: float, indent: str = "") -> list[str]:
    characters = int((width - 24) / CHARACTER)
    return textwrap.wrap(
        " ".join(names), characters, subsequent_indent=" " * len(indent), initial_indent=indent
    )


def floor(place: str) -> str:
    """The floor that an entry of ORDER belongs to."""
    names = {"_boundary": "boundary", "_async": "core", "": "ground"}
    return names.get(place.split(".")[0], "face")


def lines_of(name: str, modules: list[str], width: float) -> list[str]:
    """The places of one floor from the top down, each with its modules."""
    lines: list[str] = []
    for place in (place for place in layers.ORDER if floor(place) == name):
        found = [module for module in modules if layers.place(module) == place]
        title = "" if place == "." or place in found else f"{place.replace('.', '/')}/  "
        stems = [module.split(".")[-1] for module in found if not module.endswith(".__init__")]
        lines += wrapped(stems, width, title)
    return lines


def picture(imports: dict[str, set[str]]) -> str:
    """The SVG; raises where an import goes a way that the picture has no arrow for."""
    if wrong := list(layers.offences(imports)):
        raise ExtensionError(f"imports that point the wrong way: {'; '.join(wrong)}")
    modules = sorted(imports)
    arrows = Counter(
        (floor(layers.place(module)), floor(layers.place(target)))
        for module, targets in imports.items()
        for target in targets - {module}
    )
    full, half = WIDTH - 2 * MARGIN, (WIDTH - 2 * MARGIN - GAP) / 2
    face = Box("face", MARGIN, MARGIN, full, lines_of("face", modules, full))
    middle = face.bottom + GAP
    boundary = Box("boundary", MARGIN, middle, half, lines_of("boundary", modules, half))
    core = Box("core", MARGIN + half + GAP, middle, half, lines_of("core", modules, half))
    height = max(boundary.height, core.height)
    boundary.height = core.height = height
    ground = Box("ground", MARGIN, middle + height + GAP, full, lines_of("ground", modules, full))
    parts = [part for box in (face, boundary, core, ground) for part in box.svg()]
    lines = {
        ("face", "boundary"): (boundary.middle, face.bottom, boundary.y),
        ("face", "core"): (core.middle, face.bottom, core.y),
        ("face", "ground"): (WIDTH / 2, face.bottom, ground.y),
        ("boundary", "ground"): (boundary.middle, boundary.bottom, ground.y),
        ("core", "ground"): (core.middle, core.bottom, ground.y),
    }
    for (here, there), count in arrows.items():
        if here != there:
            x, start, end = lines[here, there]
            parts.append(
                f'<line x1="{x}" y1="{start}" x2="{x}" y2="{end - 2}" stroke="currentColor" '
                'marker-end="url(#floors-head)"/>'
                f'<text x="{x + 8}" y="{(face.bottom if here == "face" else start) + GAP / 2 + 4}" '
                f'font-size="11">{count} imports</text>'
            )
    return (
        '<div style="overflow-x: auto"><svg xmlns="http://www.w3.org/2000/svg" role="img" '
        'aria-label="The floors, their modules, and how many imports lead from one to another" '
        f'viewBox="0 0 {WIDTH} {ground.bottom + MARGIN}" style="min-width: {WIDTH - 100}px; '
        'width: 100%; color: var(--color-foreground-primary)" fill="currentColor" '
        'font-family="sans-serif"><defs><marker id="floors-head" viewBox="0 0 8 8" refX="7" '
        'refY="4" markerWidth="8" markerHeight="8" orient="auto"><path d="M0 0 8 4 0 8z"/></marker>'
        f"</defs>{''.join(parts)}</svg></div>"
    )


class Floors(SphinxDirective):
    """``{floors}``: takes nothing, and draws all of it."""

    def run(self) -> list[nodes.Node]:
        for path in (Path(layers.__file__), *layers.PACKAGE.rglob("*.py")):
            self.env.note_dependency(str(path))
        return [nodes.raw("", picture(layers.read_imports()), format="html")]


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("floors", Floors)
    return {"parallel_read_safe": True}
