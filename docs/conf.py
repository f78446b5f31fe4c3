"""Sphinx's configuration. `nox -s docs` builds the pages, warnings being errors."""

import inspect
import os
import re
import sys
from pathlib import Path
from typing import Any

from docutils import nodes

import syncclient
from syncclient import _session

sys.path.append(str(Path(__file__).parent / "_ext"))

project = "syncclient"
author = "the syncclient contributors"
copyright = "the syncclient contributors"  # Sphinx's name
version = release = syncclient.__version__

# Of the keywords that help() shows for every verb the pages have one list, at request().
for _home in (syncclient, syncclient.Session, syncclient.AioSession):
    for _function in filter(inspect.isfunction, vars(_home).values()):
        vars(_function).pop("__signature__", None)

extensions = [
    "floors",
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
]
exclude_patterns = ["_build", "_ext", "_static", "examples", "topics/_*.md"]
root_doc = "index"
nitpicky = False

# Titles are error messages, and options: with other quotes and dashes nobody would find them.
smartquotes = False

# What is copied is what is typed: without prompts, and without what was printed.
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

html_theme = "furo"
html_title = "syncclient"
html_static_path = ["_static"]
html_css_files = ["pages.css"]

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
maximum_signature_line_length = 88
autodoc_inherit_docstrings = True
autodoc_type_aliases = {"StrOrURL": "StrOrURL", "LooseHeaders": "LooseHeaders"}
napoleon_google_docstring = True
napoleon_numpy_docstring = False

# Fetching the inventories needs the internet, which a build must do without.
if os.environ.get("DOCS_ONLINE"):
    extensions.append("sphinx.ext.intersphinx")
intersphinx_mapping = {
    "python": ("https://docs.python.org/3", None),
    "aiohttp": ("https://docs.aiohttp.org/en/stable", None),
    "yarl": ("https://yarl.aio-libs.org/en/latest", None),
    "multidict": ("https://multidict.aio-libs.org/en/stable", None),
}


#: What a session makes, or the library raises: how is nobody's business.
_MADE_FOR_YOU = re.compile(
    r"syncclient\.(?:(?:Aio)?(?:Response|StreamReader|WebSocket)|AioSession|EventSource|Forever|"
    r"ResponseIterator|MiddlewareRequest|\w+Error|testing\.(?:Route|MockRequest|\w+Error))"
)


#: Defaults that a reader wants to see as numbers.
_CONSTANT = re.compile(r"= (MOST|LINE_LIMIT|HEADER_LIMIT)\b")


def plain_signature(
    app: Any, what: str, name: str, obj: object, options: Any, signature: str | None, returns: str
) -> tuple[str | None, str]:
    """Leave out of a signature what only helps checkers of types and messages of errors."""
    if signature is None:
        return None, returns
    if inspect.isclass(obj) and _MADE_FOR_YOU.fullmatch(name):
        return "", returns
    signature = _CONSTANT.sub(lambda match: f"= {getattr(_session, match[1])}", signature)
    signature = re.sub(r", \*+(?:misspelt|misplaced): Never", "", signature).replace(
        "= UNSET", "= ..."
    )
    signature = re.sub(r"~?[\w.]*\bUnset \| | \| ~?[\w.]*\bUnset\b", "", signature)
    return re.sub(r"~typing(?:_extensions)?\.", "", signature), returns


def dashes(app: Any, doctree: nodes.document) -> None:
    """Put a dash between a parameter and its text, where Sphinx writes two hyphens."""
    for text in list(doctree.findall(nodes.Text)):
        if text == " -- ":
            text.parent.replace(text, nodes.Text(" \N{EN DASH} "))


#: What autodoc found of attributes, before napoleon has taken a colon for the end of a type.
_as_written: dict[str, list[str]] = {}
_ATTRIBUTES = frozenset({"attribute", "data", "property"})


def keep(app: Any, what: str, name: str, obj: object, options: Any, lines: list[str]) -> None:
    if what in _ATTRIBUTES:
        _as_written[name] = list(lines)


def restore(app: Any, what: str, name: str, obj: object, options: Any, lines: list[str]) -> None:
    if what in _ATTRIBUTES:
        lines[:] = _as_written.pop(name)


def setup(app: Any) -> None:
    app.connect("autodoc-process-signature", plain_signature)
    app.connect("doctree-read", dashes)
    app.connect("autodoc-process-docstring", keep, priority=400)
    app.connect("autodoc-process-docstring", restore, priority=600)
