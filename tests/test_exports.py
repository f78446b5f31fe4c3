"""The public namespace: what `syncclient` shows, and under which name."""

import inspect
import types

import syncclient


def public_names() -> set[str]:
    """Names without an underscore that are not submodules."""
    return {
        name
        for name, value in vars(syncclient).items()
        if not name.startswith("_") and not _is_submodule(value)
    }


def _is_submodule(value: object) -> bool:
    return isinstance(value, types.ModuleType) and value.__name__.startswith("syncclient.")


def test_all_is_the_public_namespace() -> None:
    """`__all__` names what is there, and nothing public is missing from it."""
    assert set(syncclient.__all__) == public_names()


def test_all_is_sorted_and_without_repetition() -> None:
    """A reader finds a name where the alphabet puts it."""
    assert list(syncclient.__all__) == sorted(set(syncclient.__all__))


def test_no_public_submodule() -> None:
    """All modules but `testing`, `dask` and the doors are private: one place for what is public."""
    submodules = {name for name, value in vars(syncclient).items() if _is_submodule(value)}
    public = {name for name in submodules if not name.startswith("_")}
    assert public <= {"testing", "requests", "httpx", "httpx2", "websocket", "dask"}


def test_our_classes_and_functions_say_syncclient() -> None:
    """What is ours reports `syncclient` as its module; what we re-export keeps its own."""
    elsewhere = {
        name: value.__module__
        for name in public_names()
        if inspect.isclass(value := getattr(syncclient, name)) or inspect.isfunction(value)
        if value.__module__.startswith("syncclient.")
    }
    assert elsewhere == {}


def test_what_is_public_is_documented() -> None:
    """Every public class and function of ours has a docstring of its own."""
    bare = {
        name
        for name in public_names()
        if inspect.isclass(value := getattr(syncclient, name)) or inspect.isfunction(value)
        if value.__module__ == "syncclient" and not value.__dict__.get("__doc__", value.__doc__)
    }
    assert bare == set()
