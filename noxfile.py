"""What can be done with a checkout: `nox -l` lists it, `nox -s NAME -- ARGUMENTS` does it."""

import shutil
import sys
from pathlib import Path
from zipfile import ZipFile

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


#: The interpreter without a global lock, where there is one: it is not in VERSIONS, as neither
#: Debian nor PyPI has it.
FREE_THREADED = "3.14t"


@nox.session(name=f"tests-{FREE_THREADED}", python=FREE_THREADED)
def tests_free_threaded(session: nox.Session) -> None:
    """Run the tests of the boundary without the GIL; arguments go to pytest."""
    install(session, "test", project=("-e", ".[all]"))
    # An extension module that is not ready for it would switch the GIL on again.
    session.run(
        *("python", "-X", "gil=0", "-m", "pytest"),
        *(session.posargs or ["tests/boundary", "tests/wire", "tests/process"]),
    )


@nox.session
def soak(session: nox.Session) -> None:
    """Mixed traffic with faults until nothing may be left: `-- --minutes 10 --threads 64`."""
    install(session, "test", project=("-e", ".[all]"))
    session.run("python", "-m", "tests.soak", *session.posargs)


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
    # Without the extras, which make every import longer: what users get who ask for nothing.
    install(session, "bench", project=(".",))
    session.run("python", "-m", "benchmarks", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation, warnings being errors, and run every block of code in it."""
    install(session, "docs", "test", project=("-e", ".[all]"))
    session.run("python", "-m", "pytest", "docs", "-q")
    out = session.create_tmp()
    session.run("python", "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", "docs", out)
    session.log(f"see {out}/index.html")


@nox.session
def examples(session: nox.Session) -> None:
    """Run the programs under docs/examples with the frameworks they are for."""
    install(session, "test", project=("-e", ".[all]"))
    session.run("python", "-m", "pytest", *(session.posargs or ["tests/examples"]))


@nox.session
def build(session: nox.Session) -> None:
    """Build sdist and wheel, check both, install each in a fresh environment and run the demo."""
    install(session, "build")
    out = Path(session.create_tmp()).resolve()
    shutil.rmtree(out)  # it outlasts a run, and so would the files of another version
    session.run("python", "-m", "build", "--outdir", str(out), ".")
    [sdist], [wheel] = out.glob("*.tar.gz"), out.glob("*.whl")
    session.run("twine", "check", "--strict", str(sdist), str(wheel))
    session.run("check-wheel-contents", str(wheel))
    with ZipFile(wheel) as archive:
        for needed in ("syncclient/py.typed", "licenses/LICENSE", "entry_points.txt"):
            if not any(name.endswith(needed) for name in archive.namelist()):
                session.error(f"{wheel.name} is without {needed}")
    # The demo and its server, far from our sources: it must not find syncclient in them.
    stand = out / "stand"
    (stand / "docs" / "examples").mkdir(parents=True)
    shutil.copy("docs/examples/demo.py", stand / "docs" / "examples")
    shutil.copytree("tests/servers", stand / "tests" / "servers")
    for package in (sdist, wheel):
        fresh = out / f"from-{'wheel' if package is wheel else 'sdist'}"
        session.run("python", "-m", "virtualenv", "--quiet", str(fresh))
        folder = fresh / ("Scripts" if sys.platform == "win32" else "bin")
        python = str(folder / "python")
        wanted = f"{package}[compression,cli]"
        session.run(python, "-m", "pip", "install", "-q", wanted, external=True)
        session.run(python, "-m", "pip", "check", external=True)
        with session.chdir(stand):
            session.run(python, "docs/examples/demo.py", external=True)
            session.run(str(folder / "syncclient"), "demo", external=True)
