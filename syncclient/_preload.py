"""Imports modules that other libraries import late, together with this package.

An import holds a lock. If a process forks while another thread imports a module, the child
inherits a lock that is never released, and its own import of that module never returns. So no
module is imported on the loop thread, nor by a request. A second reason: a module that makes a
dataclass or a namedtuple compiles a string, and if CPython does that at exit, it forgets that
Ctrl-C ended the program, and exits with status 1.
"""

from __future__ import annotations

import codecs
import contextlib
import importlib

#: anyio imports its backend late, ``time.strptime`` its implementation, codecs their tables, and
#: warnings and tracebacks the modules that read source lines.
_MODULES = (
    "_strptime",
    "anyio._backends._asyncio",
    "anyio.from_thread",
    "anyio.lowlevel",
    "anyio.to_thread",
    "encodings.idna",
    "idna.uts46data",
    "linecache",
    "tokenize",
    "traceback",
    "tracemalloc",
    "unicodedata",
)

#: The codecs of web pages (those of the Encoding standard), and of host names.
_CODECS = (
    *("utf-8", "utf-8-sig", "utf-16", "utf-16-be", "utf-16-le", "ascii", "latin-1"),
    *("utf-32", "utf-32-be", "utf-32-le", "x-user-defined"),
    *("idna", "punycode", "raw_unicode_escape", "unicode_escape"),
    *(f"iso8859-{part}" for part in range(1, 17) if part != 12),
    *(f"cp{page}" for page in range(1250, 1259)),
    *("cp866", "cp874", "koi8-r", "koi8-u", "mac-cyrillic", "mac-roman"),
    *("big5", "big5hkscs", "gb2312", "gbk", "gb18030", "cp932", "cp949", "cp950"),
    *("euc_jp", "euc_kr", "iso2022_jp", "shift_jis"),
)

for _module in _MODULES:
    # Some are private: if one is gone, its replacement is imported on first use.
    with contextlib.suppress(ImportError):
        importlib.import_module(_module)
for _codec in _CODECS:
    with contextlib.suppress(LookupError):
        codecs.lookup(_codec)
