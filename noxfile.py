"""What can be done with a checkout: `nox -l` lists it, `nox -s NAME -- ARGUMENTS` does it."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import nox
from packaging.requirements import Requirement

nox.needs_version = ">=2025.2.9"
nox.options.sessions = ["lint", "typing", "tests"]
nox.options.reuse_venv = "yes"
# virtualenv, whatever else is installed: the same environments everywhere.
nox.options.default_venv_backend = "virtualenv"

PROJECT = nox.project.load_toml("pyproject.toml")
VERSIONS = nox.project.python_versions(PROJECT)


def install(session: nox.Session, *groups: str, project: tuple[str, ...] = ()) -> None:
    """Install the dependency groups and, as pip's arguments `project` say, the project itself."""
    # Tests start hundreds of interpreters, and where nothing may be written each compiles it all.
    session.env["PYTHONDONTWRITEBYTECODE"] = ""
    session.install(*project, *nox.project.dependency_groups(PROJECT, *groups))


#: As many processes as tests/conftest.py says. One whose test hangs is replaced, and the others'
#: results are kept.
IN_PARALLEL = ("--numprocesses=auto", "--dist=worksteal")


def run_tests(
    session: nox.Session, *default: str, project: tuple[str, ...] = ("-e", ".[all]")
) -> None:
    install(session, "test", project=project)
    session.run("python", "-m", "pytest", *(session.posargs or (*IN_PARALLEL, *default)))


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


def installed(version: str) -> str | None:
    """Return the interpreter of that version: on PATH, or installed by pyenv."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found = sorted(pyenv.glob(f"{version}.*/bin/python{version}"))
    for python in (shutil.which(f"python{version}"), *map(str, reversed(found))):
        # A shim of pyenv's is on PATH for versions that it would refuse to run.
        if python and subprocess.run([python, "-c", ""], capture_output=True).returncode == 0:
            return python
    return None


def newest_installed() -> str | None:
    """Return the newest interpreter installed; None where it is the one that runs nox."""
    running = f"{sys.version_info.major}.{sys.version_info.minor}"
    for version in reversed(VERSIONS):
        if version == running:
            return None
        if python := installed(version):
            return python
    return None


@nox.session(name="tests-newest", python=newest_installed() if "tests-newest" in sys.argv else None)
def tests_newest(session: nox.Session) -> None:
    """Run the tests that depend most on the interpreter on the newest one installed."""
    if session.python is None:
        session.skip("the Python that runs nox is the newest one installed")
    # Threads, signals, forks, exits and ssl differ from one Python to the next. What is left out of
    # tests/wire is HTTP, which does not; `-- tests/wire tests/cli` has it.
    subjects = ("connect", "many", "sessions", "streams", "tls")
    run_tests(
        session, "tests/boundary", "tests/process", *(f"tests/wire/{each}" for each in subjects)
    )


@nox.session(name="tests-full-way")
def tests_full_way(session: nox.Session) -> None:
    """Run the tests on the wire with all requests on the full way, through aiohttp's session."""
    session.env["SYNCCLIENT_WAY"] = "full"
    # A choice of them by default, so that the time is bounded: `-- tests/wire` has them all.
    folders = ("requests", "redirects", "responses", "cookies", "credentials", "tls")
    run_tests(session, *(f"tests/wire/{folder}" for folder in folders))


def floors() -> list[str]:
    """Return the lowest versions that pyproject.toml allows, as constraints for pip."""
    project = PROJECT["project"]
    extras = project["optional-dependencies"].values()
    constraints = []
    for text in [*project["dependencies"], *(each for extra in extras for each in extra)]:
        needed = Requirement(text)
        if needed.name == project["name"]:
            continue  # the extra that sums up the others
        lowest = [spec.version for spec in needed.specifier if spec.operator in (">=", "==", "~=")]
        if len(lowest) != 1:
            raise ValueError(f"pyproject.toml: {text!r} does not say the lowest version")
        marker = f" ; {needed.marker}" if needed.marker else ""
        constraints.append(f"{needed.name}=={lowest[0]}{marker}")
    return constraints


@nox.session(
    name="tests-lowest", python=installed(VERSIONS[0]) if "tests-lowest" in sys.argv else None
)
def tests_lowest(session: nox.Session) -> None:
    """Run the tests with the lowest versions that pyproject.toml allows, on the oldest Python."""
    constraints = Path(session.create_tmp()) / "lowest.txt"
    constraints.write_text("\n".join(floors()), encoding="utf-8")
    lowest = ("-e", ".[all]", "--constraint", str(constraints))
    # By default without tests/wire, which takes as long as all of these: `-- tests/wire` has it.
    run_tests(session, "tests/unit", "tests/parity", "tests/aio", project=lowest)


@nox.session(name="tests-aiohttp-next")
def tests_aiohttp_next(session: nox.Session) -> None:
    """Run the tests with the newest pre-release of aiohttp; arguments go to pytest."""
    install(session, "test", project=("-e", ".[all]"))
    released = version_of(session, "aiohttp")
    # Within what pyproject.toml allows: the pre-releases of 4.0 are older than 3.14.
    [allowed] = [text for text in PROJECT["project"]["dependencies"] if "aiohttp" in text]
    session.run("python", "-m", "pip", "install", "-q", "--pre", "-U", allowed)
    tested = version_of(session, "aiohttp")
    if tested == released:
        session.warn(f"there is no pre-release newer than aiohttp {released}: testing with that")
    else:
        session.log(f"testing with aiohttp {tested}, and not {released}")
    session.run("python", "-m", "pytest", *(session.posargs or IN_PARALLEL))


def version_of(session: nox.Session, package: str) -> str:
    code = f"import importlib.metadata; print(importlib.metadata.version({package!r}))"
    return str(session.run("python", "-c", code, silent=True)).strip()


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
        *(session.posargs or ["tests/boundary", "tests/cli", "tests/wire", "tests/process"]),
    )


@nox.session
def soak(session: nox.Session) -> None:
    """Mixed traffic with faults until nothing may be left: `-- --minutes 10 --threads 64`."""
    install(session, "test", project=("-e", ".[all]"))
    session.run("python", "-m", "tests.soak", *session.posargs)


@nox.session
def fuzz(session: nox.Session) -> None:
    """Send the client whatever a server can, with other examples each time: `-- --minutes 10`."""
    install(session, "test", project=("-e", ".[all]"))
    session.run("python", "-m", "tests.fuzz", *session.posargs)


def source_of(session: nox.Session, package: str) -> Path:
    """Return the folder of the source distribution of the version that is installed."""
    version = session.run(
        *("python", "-c", f"import importlib.metadata as m; print(m.version({package!r}))"),
        silent=True,
    )
    out = Path(session.create_tmp()).resolve() / package
    shutil.rmtree(out, ignore_errors=True)
    wanted = f"{package}=={str(version).strip()}"
    session.run(
        *("python", "-m", "pip", "download", "-q", "--no-deps", "--no-binary", package),
        *("-d", str(out), wanted),
    )
    [archive] = out.glob("*.tar.gz")
    shutil.unpack_archive(archive, out)
    return next(path for path in out.iterdir() if path.is_dir())


def downstream_of_requests(session: nox.Session) -> None:
    """What was built on requests, and requests' own tests: with our adapter, and as drop-in."""
    session.run("python", "-m", "pytest", "tests/downstream/test_on_requests.py")
    source = source_of(session, "requests")
    (source / "plain.ini").write_text("[pytest]\n", encoding="utf-8")
    # Not by its full name: the tests of requests are called tests, too.
    env = {"PYTHONPATH": str(Path("tests/downstream").resolve())}
    plugin = ("-p", "requests_plugin", "tests")
    run = ("python", "-m", "pytest", "-c", "plain.ini", "-q", *IN_PARALLEL, *plugin)
    with session.chdir(source):
        session.run(*run, env={**env, "DOOR_WAY": "mounted"})
        for path in Path("tests").glob("*.py"):  # the one line that a program changes
            text = path.read_text(encoding="utf-8")
            text = re.sub("(?m)^import requests$", "from syncclient import requests", text)
            path.write_text(text, encoding="utf-8")
        session.run(*run, env=env)


def downstream_of_httpx(session: nox.Session) -> None:
    """httpx's own tests on both doors, the SDKs of model providers, and mocks of others."""
    folder = Path(session.create_tmp()).resolve() / "httpx"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    session.run("python", "tests/downstream/httpx_suite.py", str(folder))
    session.run("python", "-m", "pytest", "tests/downstream/test_sdks.py")


#: By the library whose place we take.
DOWNSTREAM = {"requests": downstream_of_requests, "httpx": downstream_of_httpx}


@nox.session
def downstream(session: nox.Session) -> None:
    """Run what was built on other libraries, and their tests, on ours: `-- requests` for one."""
    install(session, "downstream", project=("-e", ".[all]"))
    for library in session.posargs or DOWNSTREAM:
        DOWNSTREAM[library](session)


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
    install(session, "docs", project=("-e", ".[all]"))
    session.run("python", "-m", "pytest", "docs", "-q")
    out = session.create_tmp()
    session.run("python", "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", "docs", out)
    session.log(f"see {out}/index.html")


@nox.session
def examples(session: nox.Session) -> None:
    """Run the programs under docs/examples with the frameworks they are for."""
    # Ray is in no other session: its wheel alone has 80 MB.
    install(session, "test", "ray", project=("-e", ".[all]"))
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
