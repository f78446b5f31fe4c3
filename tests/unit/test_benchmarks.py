"""What the scoreboard derives from its turns, and that the documentation shows just that."""

import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from benchmarks import __main__ as command
from benchmarks import chart, page, report
from benchmarks.clients import CLIENTS
from benchmarks.clients.base import Job, busy_threads, threads_curve
from benchmarks.environments import NotInstalled, interpreter
from benchmarks.gauges import GAUGES, Gauge, GaugeResult, Reading, imports, profile, take
from benchmarks.recorded import RecordedBoard, load
from benchmarks.results import Scoreboard, Series, Turn, WorkResult
from benchmarks.works import CURVES, SCALE, WORKS, Curve, Goal, Work

DOCS = Path(__file__).parents[2] / "docs"
RUN = DOCS / page.RUN


def work(
    name: str = "get",
    goals: tuple[Goal, ...] = (),
    curve: Curve | None = None,
    at: int = 0,
    unit_bytes: int = 0,
    warm: int = 1,
) -> Work:
    return Work(
        name,
        "a small GET",
        "request",
        count=10,
        quick=1,
        warm=warm,
        rounds=3,
        goals=goals,
        curve=curve,
        at=at,
        unit_bytes=unit_bytes,
    )


def series(client: str, *seconds: float) -> Series:
    return Series(client, "get()", 10, [Turn(each, each / 2, each, None) for each in seconds])


def board(*results: WorkResult, gauges: tuple[GaugeResult, ...] = ()) -> Scoreboard:
    machine: dict[str, object] = {
        "date": "2026-01-02 03:04:05 UTC",
        "cpu": "a processor",
        "cores": 2,
        "system": "a system",
        "python": "CPython 3.13.0",
        "gil": True,
        "load": 0.1,
        "load_after": 0.2,
    }
    versions = {"syncclient": {"syncclient": "0.1"}}
    return Scoreboard(
        machine,
        versions,
        absent={"primp": "primp is not installed"},
        broken=False,
        quick=False,
        results=list(results),
        gauges=list(gauges),
    )


def small_board() -> RecordedBoard:
    aims = (Goal("requests", faster=5.0), Goal("aiohttp", within=1.15))
    race = WorkResult(
        work(goals=aims),
        10,
        "a server",
        [series("syncclient", 1, 1, 1), series("requests", 4, 6, 8), series("aiohttp", 1, 1, 0.5)],
    )
    first, last = (
        WorkResult(
            work(f"scale-{at}", curve=SCALE, at=at), 10, "a server", [series("syncclient", s)]
        )
        for at, s in ((1, 2.0), (10_000, 3.0))
    )
    gauge = Gauge("memory", "memory", "KiB", 1)
    read = GaugeResult(gauge, [Reading("a session", [12.34], 100.0), Reading("a call", [30], 20.0)])
    return report.as_json(board(race, last, first, gauges=(read,)))


# -- what is derived ---------------------------------------------------------------------------


def test_a_ratio_is_the_median_over_rounds_and_not_of_medians() -> None:
    """A slow round of the machine slows both, and so does not count."""
    result = WorkResult(
        work(), 10, "", [series("syncclient", 1, 10, 2), series("requests", 5, 50, 6)]
    )
    assert result.times_as_fast(result.series[0], "requests") == 5.0


def test_growth_compares_the_ends_of_a_curve() -> None:
    """Points are put in order first, and the curve's goal is held against the ratio."""
    [growth] = small_board()["growths"]
    assert (growth["first"], growth["last"]) == (1, 10_000)
    assert growth["ratio"] == pytest.approx(1.5)
    assert growth["met"] is False


def test_a_curve_of_one_point_has_no_growth() -> None:
    """A run of one point (`--only scale-1`) is no curve."""
    lonely = WorkResult(work(curve=SCALE, at=1), 10, "", [series("syncclient", 1)])
    assert board(lonely).growths() == []


@pytest.mark.parametrize(("enforced", "value"), [(True, 9.9), (True, 10.1), (False, 10.1)])
def test_a_run_fails_by_a_count_that_has_risen(enforced: bool, value: float) -> None:
    """Where the gauge says so; its other goals, and those of times, are only reported."""
    names = frozenset({"a get"} if enforced else ())
    gauge = Gauge("instructions", "instructions", "1,000", 1, enforced=names)
    found = board(gauges=(GaugeResult(gauge, [Reading("a get", [value], 10.0)]),))
    assert found.failed == (enforced and value > 10.0)


def test_works_have_names_of_their_own_and_counts_that_fill_the_crowd() -> None:
    """The server answers N at a time: a rest smaller than N would wait for ever."""
    names = [each.name for each in WORKS]
    assert len(set(names)) == len(names)
    crowds = [each for each in WORKS if each.curve in CURVES[:2]]
    assert len(crowds) == 9
    for each in crowds:
        assert each.count % each.at == each.quick % each.at == each.warm % each.at == 0, each.name


def test_every_goal_names_a_client_that_is_measured() -> None:
    """A goal against a peer with a typing error would never be looked at."""
    clients = {spec.name for spec in CLIENTS}
    goals = [goal for each in WORKS for goal in each.goals]
    assert {name for goal in goals for name in (goal.peer, goal.client)} <= clients


def test_the_sizes_of_bodies_are_known_before_they_are_asked_for() -> None:
    """nginx has a file for each; works without a body to download need none."""
    assert work(unit_bytes=100, warm=3).body_sizes(10) == [300, 1000]
    assert work().body_sizes(10) == []


# -- the clients' tools ------------------------------------------------------------------------


def test_a_crowd_has_a_thread_for_each_share_and_leaves_none() -> None:
    """A point of the curve ``threads`` splits the work evenly and clears up after itself."""

    class Counting:
        def __init__(self, threads: int) -> None:
            self.counts: list[int] = []
            opened.append(self)

        def get_many(self, url: str, count: int) -> int:
            assert url == "http://host/hold/10"
            self.counts.append(count)
            return count

        def close(self) -> None:
            opened.remove(self)

    opened: list[Counting] = []
    doing = threads_curve(Counting)["threads-10"]
    assert doing.run(Job("http://host", 20)) == 20
    assert opened[0].counts == [2] * 10
    doing.after()
    assert opened == []


def test_busy_threads_end_with_their_block() -> None:
    """Busy threads end with their block, even if the work beside them fails."""
    with pytest.raises(LookupError), busy_threads(2):
        raise LookupError
    # The check of leaked threads, which every test has, sees the rest.


def test_an_environment_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    """A client that cannot be installed is left out with the reason; nothing half made stays."""
    (tmp_path / "a file").touch()
    with pytest.raises(NotInstalled, match="could not be installed"):
        interpreter(["anything"], tmp_path / "a file")


# -- gauges ------------------------------------------------------------------------------------


def test_a_gauge_that_fails_is_told_and_ends_nothing() -> None:
    """A gauge whose process ends with an error has no readings, and the run goes on."""
    gauge = Gauge("no_such_module", "", "", 1, enforced=frozenset({"a get"}))
    result = take(gauge, "http://host", quick=True)
    assert result.readings == []
    assert result.absent
    assert board(gauges=(result,)).failed  # as a run that was to hold it against its goal


def test_a_gauge_without_its_tool_fails_no_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where valgrind is missing, the run says so and goes on."""
    [gauge] = [each for each in GAUGES if each.name == "instructions"]
    monkeypatch.setenv("PATH", "")
    result = take(gauge, "http://host", quick=True)
    assert result.absent == "valgrind is not installed"
    assert not board(gauges=(result,)).failed


def test_every_gauge_has_its_module() -> None:
    """The table's names are the modules' names."""
    folder = Path(page.__file__).parent / "gauges"
    assert all((folder / f"{gauge.name}.py").exists() for gauge in GAUGES)


def test_importtime_is_read() -> None:
    """A module's own time counts, without what it imports."""
    told = (
        "import time: self [us] | cumulative | imported package\n"
        "import time:      1500 |       2500 |   aiohttp.web\n"
    )
    assert imports.parse(told) == {"aiohttp.web": 1.5}


def test_samples_are_counted_by_function() -> None:
    """The innermost function counts; samples of imports are none of the work's."""
    samples = (
        "main (a.py);read (syncclient/_stream.py:7) 3\n"
        "main (a.py);_find (<frozen importlib._bootstrap>) 90\n"
        "wait (threading.py) 1\n"
    )
    assert profile.parse(samples) == {
        "read, syncclient/_stream.py": 0.75,
        "wait, threading.py": 0.25,
    }


# -- pictures and pages ------------------------------------------------------------------------


def test_pictures_are_well_formed_and_tell_the_figures() -> None:
    """Each dot has its figure as a tooltip, and no colour of the page is taken for granted."""
    drawn = page.charts(small_board())
    assert sorted(drawn) == ["ratios", "scale"]
    for svg in drawn.values():
        ET.fromstring(svg)
        assert "currentColor" in svg
    assert "get: 6.00 x as fast as requests" in drawn["ratios"]
    assert "syncclient, 10,000: 300<" in drawn["scale"]


@pytest.mark.parametrize(
    ("values", "log", "ticks"),
    [
        ([1, 1000], True, [1, 10, 100, 1000]),
        ([3, 30], True, [5, 10, 20]),
        ([7], False, [0, 2, 4, 6]),
        ([100], False, [0, 20, 40, 60, 80, 100]),
    ],
)
def test_axes_have_round_ticks(values: list[float], log: bool, ticks: list[float]) -> None:
    """A few round numbers between the ends, whatever the range."""
    assert chart.Axis(values, 0, 100, log=log).ticks() == pytest.approx(ticks)


def test_goals_are_told_with_what_was_measured() -> None:
    """A reader sees goal, figure and verdict in one row, and how many are met in all."""
    told = page.tables(small_board())
    assert "| `get` | >= 5 x as fast as requests | 6.00 x | met |" in told
    assert "| `get` | <= 1.15 x the time of aiohttp | 1.00 x the time | met |" in told
    assert "| `scale` | a request at 10,000 <= 1 x one at 1 | x 1.50 | **not met** |" in told
    assert "| `memory` | a call <= 20 KiB | 30.0 KiB | **not met** |" in told
    assert "3 of 5 goals are met in this run." in told


def test_a_goal_of_a_door_is_told_with_its_name() -> None:
    """Others' code on our engine has goals of its own, and not those of our session."""
    aim = Goal("httpx2", faster=1.5, client="httpx2 on syncclient")
    race = WorkResult(
        work(goals=(aim,)),
        10,
        "a server",
        [series("syncclient", 1), series("httpx2 on syncclient", 2), series("httpx2", 4)],
    )
    [verdict] = race.verdicts()
    assert str(verdict).startswith("httpx2 on syncclient: 2.00 x as fast as httpx2")
    told = page.tables(report.as_json(board(race)))
    assert "| `get` | httpx2 on syncclient: >= 1.5 x as fast as httpx2 | 2.00 x | met |" in told


def test_instructions_stand_beside_times() -> None:
    """Where the work's instructions were counted, in the row of the same client."""
    gauge = Gauge("instructions", "instructions", "1,000", 1)
    counts = GaugeResult(gauge, [Reading("get: syncclient", [123.4], None)])
    race = WorkResult(work(), 10, "", [series("syncclient", 0.001), series("pycurl", 0.001)])
    rows = page.tables(report.as_json(board(race, gauges=(counts,)))).splitlines()
    [ours] = [row for row in rows if row.startswith("| **syncclient** |")]
    [theirs] = [row for row in rows if row.startswith("| pycurl |")]
    assert "| 123.4 |" in ours
    assert "123.4" not in theirs
    [head] = [row for row in rows if row.startswith("| client |")]
    assert "| 1,000 instructions |" in head


def test_a_quick_run_says_that_it_is_none() -> None:
    """Figures of a quick run must not be taken for a measurement."""
    recorded = small_board()
    assert "no measurement" not in page.tables(recorded)
    recorded["quick"] = True
    assert "no measurement" in page.tables(recorded)


def test_a_run_survives_its_file(tmp_path: Path) -> None:
    """What is rendered from the file is what is rendered from the run."""
    (tmp_path / "_static").mkdir()
    recorded = small_board()
    page.write(recorded, tmp_path)
    assert page.render(load(tmp_path / page.RUN)) == page.render(recorded)


def test_a_file_that_is_no_run_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file that is not a run is refused, and the documentation is left as it is."""
    path = tmp_path / "other.json"
    path.write_text("{}", encoding="utf-8")
    assert page.main([str(path), "--docs", str(tmp_path)]) == 1
    assert "is no result" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [path]


def test_the_docs_take_no_part_of_a_run() -> None:
    """A page made of `--quick` or `--only` would look like a whole measurement."""
    for part in (["--quick"], ["--only", "scale"], ["--client", "httpx"]):
        with pytest.raises(SystemExit):
            command.parse(["--docs", *part])
    assert command.parse(["--docs", "--rounds", "1"]).docs


# -- the committed run -------------------------------------------------------------------------


def test_the_page_shows_the_committed_run() -> None:
    """Tables and pictures are those of the run beside them: no figure was written by hand."""
    for name, text in page.render(load(RUN)).items():
        assert (DOCS / name).read_text(encoding="utf-8") == text, f"{name}: run benchmarks.page"


def test_the_committed_run_says_where_and_when() -> None:
    """A figure without its machine, its date and the versions says nothing."""
    recorded = load(RUN)
    machine = recorded["machine"]
    assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d", str(machine["date"]))
    assert machine["cpu"] and machine["cores"] and machine["system"] and machine["python"]
    assert recorded["versions"]["syncclient"].keys() >= {"syncclient", "aiohttp", "uvloop"}
    assert recorded["versions"].keys() >= {"requests", "httpx", "urllib3"}


def test_the_committed_run_was_held_against_the_goals_of_today() -> None:
    """Whoever changes a goal measures again; of a work added since, the page says so."""
    recorded = {each["name"]: each["goals"] for each in load(RUN)["works"]}
    tables = (DOCS / page.TABLES).read_text(encoding="utf-8")
    for each in WORKS:
        if each.name not in recorded:
            assert re.search(rf"^\| not in this run \|.*`{each.name}`", tables, re.MULTILINE)
            continue
        aims = {(goal.client, goal.peer, goal.faster, goal.within) for goal in each.goals}
        held = {
            (goal["client"], goal["peer"], goal["faster"], goal["within"])
            for goal in recorded[each.name]
            if not goal["client"].endswith("/asyncio")
        }
        assert held == aims, each.name


def test_the_page_includes_every_table_and_picture() -> None:
    """A section that is rendered and not shown would be forgotten."""
    text = (DOCS / "topics" / "performance.md").read_text(encoding="utf-8")
    tables = (DOCS / page.TABLES).read_text(encoding="utf-8")
    assert set(re.findall(r'start-after: "(<!-- \w+ -->)"', text)) == set(
        re.findall(r"<!-- \w+ -->", tables)
    )
    pictures = {name for name in page.render(load(RUN)) if name.endswith(".svg")}
    assert set(re.findall(r":file: \.\./(\S+)", text)) == pictures


def test_the_run_is_plain_json() -> None:
    """Anybody can read it with what they have."""
    assert json.loads(RUN.read_text(encoding="utf-8"))["works"]


# -- the whole of it ---------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("server", ["raw", "app"])
def test_a_small_run_ends_with_figures_of_everything_it_was_asked_for(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Servers, measured clients, curves and gauges work together, from the command to the file."""
    monkeypatch.chdir(DOCS.parent)
    path = tmp_path / "run.json"
    asked = ["get-1", "download", "scale-10", "threads-10", "busy-1", "crossings"]
    arguments = ["--quick", "--rounds", "1", "--server", server]
    arguments += [
        "--client",
        "syncclient/asyncio",
        "--json",
        str(path),
        "--chart",
        str(tmp_path / "charts"),
    ]
    assert command.main([*arguments, *(f"--only={name}" for name in asked)]) == 0
    recorded = load(path)
    figures = {each["name"]: each["clients"][0]["median_per_unit"] for each in recorded["works"]}
    assert figures.keys() == set(asked[:-1])
    assert all(figure > 0 for figure in figures.values())
    [gauge] = recorded["gauges"]
    counts = {each["what"]: each["value"] for each in gauge["readings"]}
    assert counts["get(), json(), end of the with block"] == 1
