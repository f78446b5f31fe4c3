"""docs/examples/notebook.ipynb, run by a real kernel."""

from __future__ import annotations

import ast
import json

import pytest

from tests.children import RunChild
from tests.servers.process import ROOT

pytest.importorskip("nbclient", reason="nbclient does not run here")
pytest.importorskip("ipykernel", reason="ipykernel does not run here")
pytest.importorskip("pandas", reason="pandas does not run here")

pytestmark = pytest.mark.slow

NOTEBOOK = ROOT / "docs" / "examples" / "notebook.ipynb"

RUN = """
import json, sys, warnings
warnings.simplefilter("ignore")  # those of the tools' own
import nbclient, nbformat

notebook = nbformat.read(sys.argv[1], as_version=4)
for cell in notebook.cells:
    cell.source = cell.source.replace("http://localhost:8080/", sys.argv[2])
nbclient.NotebookClient(notebook, timeout=30, kernel_name="python3").execute()
outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
print(json.dumps([output["data"]["text/plain"] for output in outputs]))
"""


def test_every_cell(run_child: RunChild, upstream: str) -> None:
    """Each cell runs, and shows what its text says."""
    child = run_child(RUN, str(NOTEBOOK), upstream, flags=(), timeout=50)
    assert child.status == 0, child.stderr
    people, many, table, person, closed = json.loads(child.stdout)
    assert [each["name"] for each in ast.literal_eval(people)] == ["Ada", "Grace", "Edsger"]
    assert many == "(200, {'id': 199})"
    rows = [line.split() for line in table.splitlines()]
    assert [row[-1] for row in rows] == ["city", "London", "York", "Rotterdam"]
    assert person == "{'id': 1, 'name': 'Ada', 'city': 'London'}"
    assert closed == "True"


def test_no_output_is_kept() -> None:
    """The file has no outputs and no counts, which would change with every run."""
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert code
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
