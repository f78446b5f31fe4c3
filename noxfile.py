"""What can be done with a checkout: `nox -l` lists it, `nox -s NAME -- ARGUMENTS` does it."""

import nox

nox.needs_version = ">=2025.2.9"
nox.options.sessions = ["lint", "typing", "tests"]
nox.options.reuse_venv = "yes"
# virtualenv, whatever else is installed: the same environments everywhere.
nox.options.default_venv_backend = "virtualenv"

PROJECT = nox.project.load_toml("pyproject.toml")
VERSIONS = nox.project.python_versions(PROJECT)


def install(session: nox.Session, *groups: str, project: tuple[str, ...] = ()) -> None:
    """Install the dependency groups and, as pip's arguments `project` say, the project itself."""
    session.install(*project, *nox.project.dependency_groups(PROJECT, *groups))


def run_tests(session: nox.Session) -> None:
    install(session, "test", project=("-e", ".[all]"))
    session.run("python", "-m", "pytest", *session.posargs)


@nox.session
def demo(session: nox.Session) -> None:
    """Show the main job on real input: requests against a server on this machine."""
    install(session, "demo", project=(".[compression]",))  # the server compresses
    session.run("python", "docs/examples/demo.py", *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """Run every test on the Python that runs nox; arguments go to pytest."""
    run_tests(session)


def add_tests_on(version: str) -> None:
    @nox.session(name=f"tests-{version}", python=version)
    def tests_on(session: nox.Session) -> None:
        run_tests(session)

    tests_on.__doc__ = f"Run every test on Python {version}."


# Apart from `tests`, so that `nox -s tests` means the running interpreter and no other.
for python_version in VERSIONS:
    add_tests_on(python_version)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and formatting; `ruff check --fix` and `ruff format` mend most of it."""
    install(session, "lint")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def typing(session: nox.Session) -> None:
    """Check types: all of ours strictly, and that every public name is fully typed."""
    install(session, "typing", project=("-e", ".[all]"))
    # The oldest and the newest: what one lacks, and what only the other's branches say.
    for version in (VERSIONS[0], VERSIONS[-1]):
        session.run("mypy", "--python-version", version, *session.posargs)
    session.run("pyright", "tests/typing")
    session.run("pyright", "--verifytypes", "syncclient", "--ignoreexternal")


@nox.session
def bench(session: nox.Session) -> None:
    """Measure syncclient beside its peers on one server; `-- --help` tells what can be chosen."""
    install(session, "bench", project=(".[all]",))
    session.run("python", "-m", "benchmarks", *session.posargs)
