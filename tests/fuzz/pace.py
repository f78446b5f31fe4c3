"""How many examples a fuzz test tries: few and always the same, or as many as asked for."""

import os

from hypothesis import HealthCheck, settings

#: Set by `python -m tests.fuzz`: the examples of each test in one round.
EXAMPLES = "SYNCCLIENT_FUZZ_EXAMPLES"

_asked = os.environ.get(EXAMPLES)

#: Decorates a test beneath `@given(...)`. No deadline: a request may have to wait for its turn.
fuzzed = settings(
    max_examples=int(_asked or 40),
    deadline=None,
    derandomize=_asked is None,
    database=None,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
        HealthCheck.filter_too_much,
        HealthCheck.data_too_large,
    ],
)
