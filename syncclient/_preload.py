"""Imports modules that other libraries import late, together with this package.

An import holds a lock. If a process forks while another thread imports a module, the child
inherits a lock that is never released, and its own import of that module never returns. So no
module is imported on the loop thread, nor by an ordinary request; what others need is imported
so that a fork waits for it (``_late.py``). A second reason: a module that makes a
dataclass or a namedtuple compiles a string, and if CPython does that at exit, it forgets that
Ctrl-C ended the program, and exits with status 1.
"""

from __future__ import annotations

import codecs
import contextlib
import importlib

#: ``time.strptime`` imports its implementation late, codecs their tables, and warnings and
#: tracebacks the modules that read source lines.
_MODULES = (
    "_strptime",
    "encodings.idna",
    "idna.uts46data",
    "linecache",
    "tokenize",
    "traceback",
    "tracemalloc",
    "unicodedata",
)

#: The codecs of heads, of host names, of UTF and of escapes. Others come with the first text that
#: is in them.
_CODECS = (
    *("utf-8", "utf-8-sig", "utf-16", "utf-16-be", "utf-16-le", "utf-32", "utf-32-be", "utf-32-le"),
    *("ascii", "latin-1", "cp1252", "idna", "punycode", "raw_unicode_escape", "unicode_escape"),
)

for _module in _MODULES:
    # Some are private: if one is gone, its replacement is imported on first use.
    with contextlib.suppress(ImportError):
        importlib.import_module(_module)
for _codec in _CODECS:
    with contextlib.suppress(LookupError):
        codecs.lookup(_codec)
