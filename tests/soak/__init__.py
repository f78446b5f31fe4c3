"""The soak: mixed traffic with faults for minutes, and then nothing may be left.

`python -m tests.soak --minutes 10`, or `nox -s soak -- --minutes 10`.
"""
