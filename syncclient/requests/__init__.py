"""requests on the engine of syncclient: ``from syncclient import requests``.

All names of requests, and the very same objects but for those that send: ``Session``,
``get`` and its siblings, and ``adapters``. So ``except requests.ConnectionError`` and
``isinstance`` mean what they meant, in this program and in the libraries that it uses.

``install()`` gives the sessions that other libraries make the engine as well.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from . import _needed as _needed  # isort: skip  # names a missing package first

import requests as _theirs
from requests import ConnectionError as ConnectionError
from requests import ConnectTimeout as ConnectTimeout
from requests import FileModeWarning as FileModeWarning
from requests import HTTPError as HTTPError
from requests import JSONDecodeError as JSONDecodeError
from requests import PreparedRequest as PreparedRequest
from requests import ReadTimeout as ReadTimeout
from requests import Request as Request
from requests import RequestException as RequestException
from requests import Response as Response
from requests import Timeout as Timeout
from requests import TooManyRedirects as TooManyRedirects
from requests import URLRequired as URLRequired
from requests import api as api
from requests import auth as auth
from requests import certs as certs
from requests import codes as codes
from requests import compat as compat
from requests import cookies as cookies
from requests import exceptions as exceptions
from requests import hooks as hooks
from requests import models as models
from requests import packages as packages
from requests import sessions as sessions
from requests import status_codes as status_codes
from requests import structures as structures
from requests import utils as utils

from . import adapters as adapters
from ._engines import close_engines as close_engines
from ._install import install as install
from ._install import uninstall as uninstall
from ._oneshot import delete as delete
from ._oneshot import get as get
from ._oneshot import head as head
from ._oneshot import options as options
from ._oneshot import patch as patch
from ._oneshot import post as post
from ._oneshot import put as put
from ._oneshot import request as request
from ._session import Session as Session
from ._session import session as session

# ``from syncclient.requests.exceptions import ...`` finds requests' own module, too.
for _name, _value in list(globals().items()):
    if isinstance(_value, ModuleType) and _value.__name__ == f"requests.{_name}":
        sys.modules.setdefault(f"{__name__}.{_name}", _value)
del _name, _value


def __getattr__(name: str) -> Any:
    return getattr(_theirs, name)
