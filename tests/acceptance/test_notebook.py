"""The notebook in examples/ runs completely, in a kernel, with a real pilot."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from support.cluster import Cluster

NOTEBOOK = Path(__file__).parents[2] / "examples/tuning.ipynb"

# In its own process, because a kernel's client has threads and an event loop.
EXECUTE = """
import sys, nbclient, nbformat
notebook = nbformat.read(sys.argv[1], as_version=4)
nbformat.validate(notebook)
try:
    nbclient.NotebookClient(notebook, timeout=150, kernel_name="python3").execute(cwd=".")
finally:
    nbformat.write(notebook, "executed.ipynb")
"""


def cells(path: Path) -> dict[str, dict[str, Any]]:
    found = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return {cell["id"]: cell for cell in found if cell["cell_type"] == "code"}


@pytest.fixture
def cluster(cluster: Cluster) -> Cluster:
    cluster.node()
    cluster.pilot()
    return cluster


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_the_notebook_runs(cluster: Cluster, tmp_path: Path) -> None:
    folder = tmp_path / "a'b é"
    folder.mkdir()
    executed = subprocess.run(
        [sys.executable, "-c", EXECUTE, str(NOTEBOOK)],
        check=False,
        cwd=folder,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "MAESTRO_POSTGRES": cluster.url,
            "MAESTRO_USERNAME": "ana",
        },
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        timeout=220,
    )
    assert executed.returncode == 0, executed.stderr + cluster.log()
    found = cells(folder / "executed.ipynb")
    # The progress is one output that changed; the task itself is the other.
    progress, last = found["task"]["outputs"]
    assert "DONE [####################] 36 of 36 jobs done" in "".join(
        progress["data"]["text/plain"]
    )
    assert "DONE, 36 of 36 jobs done" in "".join(last["data"]["text/plain"])
    assert "loss.test" in "".join(found["frame"]["outputs"][0]["data"]["text/html"])
    (picture,) = found["plot"]["outputs"]
    assert "image/png" in picture["data"]
    assert "job_configId_" in "".join(found["best"]["outputs"][0]["text"])


def test_it_is_kept_without_what_it_showed() -> None:
    kept = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    assert set(kept["metadata"]) == {"kernelspec", "language_info"}
    for cell in cells(NOTEBOOK).values():
        assert (cell["outputs"], cell["execution_count"]) == ([], None)
