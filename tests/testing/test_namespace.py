"""The public names of `syncclient.testing`."""

import types

import syncclient.testing


def test_all_is_the_public_namespace() -> None:
    """`__all__` is sorted, names what is there, and nothing public is missing from it."""
    public = {
        name
        for name, value in vars(syncclient.testing).items()
        if not name.startswith("_") and not isinstance(value, types.ModuleType)
    }
    assert list(syncclient.testing.__all__) == sorted(public)


def test_names_say_where_they_are_found() -> None:
    """Each class and function reports `syncclient.testing` as its module, and is documented."""
    for name in syncclient.testing.__all__:
        value = getattr(syncclient.testing, name)
        assert value.__module__ == "syncclient.testing"
        assert value.__doc__
