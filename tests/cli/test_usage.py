"""Wrong usage of the command line: one line that names what is wrong, and exit code 2."""

import pytest

pytest.importorskip("click")
pytest.importorskip("rich")

from syncclient._cli.app import run


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["get"], "Missing argument 'URL'"),
        (["get", "localhost", "word"], "key=value"),
        (["get", "localhost", "--nope"], "--nope"),
        (["get", "localhost", "-j", "-f"], "choose one"),
        (["get", "localhost", "-h", "-b"], "choose one"),
        (["get", "ftp://localhost/"], "scheme"),
        (["get", "http://:/"], "host"),
        (["get", "localhost", "bad name:x"], "is not a header name"),
        (["get", "localhost", "--verify", "/no/such"], "--verify /no/such"),
        (["get", "localhost", "--cert", "/no/such"], "PEM"),
        (["get", "localhost", "--timeout", "-1"], "--timeout"),
        (["download", "localhost", "a=b"], "sends no body"),
        (["download", "localhost", "--digest", "x"], "sha256:"),
        (["ws", "localhost", "-H", "a=b"], "-H 'Name: value'"),
        (["frobnicate"], "frobnicate"),
    ],
)
def test_wrong_usage_is_told(
    arguments: list[str], hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is sent; stderr has one line with what to write, and stdout nothing."""
    assert run(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("syncclient: ")
    assert err.count("\n") == 1
    assert hint in err


def test_without_a_command_help_goes_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    """A script that forgot the command finds nothing on stdout."""
    assert run([]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "Exit codes:" in err
