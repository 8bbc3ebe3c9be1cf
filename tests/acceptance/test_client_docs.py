"""The examples in docs/client.md run in order, with a real pilot, and print what is shown there."""

from __future__ import annotations

import doctest
from pathlib import Path

import pytest

from support.cluster import Cluster

PAGE = Path(__file__).parents[2] / "docs/client.md"

FIT = """
import json, pathlib, sys
data, config, out = map(pathlib.Path, sys.argv[1:])
values = json.loads(config.read_text())
power = values["power"]
if power < 1:
    raise ValueError("power must be positive")
points = [tuple(map(float, line.split(","))) for line in data.read_text().split()]
loss = round(sum(abs(x**power - y) for x, y in points) / len(points), 2)
print(f"power {power}: loss {loss}")
(out / "metrics.json").write_text(json.dumps({"loss": loss}))
"""


@pytest.fixture
def cluster(
    cluster: Cluster, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Cluster:
    """A node with a pilot; the current folder contains a program and its data."""
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "fit.py").write_text(FIT)
    (folder / "data.csv").write_text("0,0\n1,1\n2,8\n-1,-1\n-2,-8\n")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("MAESTRO_POSTGRES", database_url)
    monkeypatch.setenv("MAESTRO_USERNAME", "ana")
    cluster.node()
    cluster.pilot()
    return cluster


def test_the_examples_of_the_page(cluster: Cluster) -> None:
    text = PAGE.read_text().replace("\n```", "\n\n```")  # the end of an output
    test = doctest.DocTestParser().get_doctest(text, {"__name__": "__main__"}, "client.md", None, 0)
    assert len(test.examples) > 25
    told: list[str] = []
    failed = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test, out=told.append).failed
    assert not failed, "".join(told) + cluster.log()
