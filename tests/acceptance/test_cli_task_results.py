"""`maestro task results` and `task plot`, as people type them."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from support.maestro import Maestro
from support.world import World

pytestmark = pytest.mark.both_ways

CREATE = [
    "task",
    "create",
    "-c",
    "user.ana.grid",
    "-d",
    "user.ana.data",
    "--exec",
    "f %DATA %IN %OUT",
]


@pytest.fixture
def ana(maestro: Maestro) -> Maestro:
    """Ana with six configs, in JSON and YAML."""
    folder = maestro.folder / "configs"
    folder.mkdir()
    for number in range(5):
        config = {"lr": 10.0**-number, "net": {"kind": "ab"[number % 2], "depth": 3}}
        (folder / f"{number}.json").write_text(json.dumps(config))
    (folder / "5.yaml").write_text("lr: 7\nnet: {kind: c, depth: 3}\n")
    (maestro.folder / "data.npz").write_text("data")
    maestro("dataset", "create", "-n", "user.ana.grid", "-p", folder)
    maestro("dataset", "create", "-n", "user.ana.data", "-p", "data.npz")
    return maestro


def write(folder: Path, job: int, text: str, name: str = "metrics.json") -> None:
    place = folder / f".attempts/job_configId_{job}/1"
    place.mkdir(parents=True, exist_ok=True)
    (place / name).write_text(text)


@pytest.fixture
def over(ana: Maestro, world: World) -> Maestro:
    """A task of Ana's of which five jobs are done; one left broken metrics."""
    ana(*CREATE, "-t", "user.ana.mlp", "--bypass", "--attach-report")
    world.run_all(failing=(4,))
    folder = ana.folder / "user.ana.mlp"
    for job, accuracy in ((0, 0.5), (1, 0.9), (2, 0.7)):
        text = json.dumps({"val": {"accuracy": accuracy}, "curve": [1, 2], "net": {"depth": 3}})
        write(folder, job, text)
    write(folder, 3, '{"val": {"accuracy": NaN}}')
    write(folder, 5, '{"val": ')
    return ana


def test_a_table_of_what_came_of_the_configs(over: Maestro) -> None:
    said = over.line("task results 0")
    rows = [line.split() for line in said.out.splitlines()]
    assert rows[0] == ["JOB", "lr", "net.kind", "val.accuracy", "curve", "note"]
    assert [row[0] for row in rows[1:]] == ["0/0", "0/1", "0/2", "0/3", "0/5"]
    assert rows[2] == ["0/1", "0.1", "b", "0.9", "[1,2]"]
    assert rows[4][:4] == ["0/3", "0.001", "b", "nan"]
    assert "metrics.json is not valid JSON (line 1, column 9)" in said.out
    assert "The same in all rows: net.depth 3" in said.err
    assert "1 row has a note" in said.err
    assert "5 of 6 jobs have results" in said.err


def test_order_and_the_best(over: Maestro) -> None:
    def jobs(command: str) -> list[str]:
        return over.line(f"task results user.ana.mlp -q {command}").out.split()

    assert jobs("--sort val.accuracy") == ["0/0", "0/2", "0/1", "0/3", "0/5"]
    assert jobs("--sort -val.accuracy") == ["0/1", "0/2", "0/0", "0/3", "0/5"]
    assert jobs("--sort val.accuracy --desc") == jobs("--sort=-val.accuracy")
    assert jobs("--best 2") == jobs("--best 2 --sort -val.accuracy") == ["0/1", "0/2"]
    assert jobs("--best 2 --sort val.accuracy") == ["0/0", "0/2"]
    lowest = over.line("task results user.ana.mlp --best 2 --sort val.accuracy")
    assert (
        "These have the lowest val.accuracy; --sort -val.accuracy shows the highest." in lowest.err
    )
    assert jobs("--best 2 --direction max --sort val.accuracy") == ["0/1", "0/2"]
    assert jobs("--best 2 --direction min") == ["0/0", "0/2"]
    assert jobs("--best 1 --sort lr") == ["0/3"]
    assert jobs("--best 1 --sort -lr") == ["0/5"]


def test_forms_for_programs(over: Maestro) -> None:
    records = over.line("task results 0 -o json").json
    assert [record["val.accuracy"] for record in records] == [0.5, 0.9, 0.7, None, None]
    assert records[0] | {"run.node": "gauss", "curve": [1, 2], "lr": 1.0} == records[0]
    rows = list(csv.DictReader(io.StringIO(over.line("task results 0 -o csv").out)))
    assert [row["val.accuracy"] for row in rows] == ["0.5", "0.9", "0.7", "nan", ""]
    assert rows[0]["curve"] == "[1,2]"
    assert rows[4]["config"] == "5.yaml"
    said = over.line("task results 0 --out r.parquet --columns job,lr,net.kind,val.accuracy")
    assert (said.out, "5 rows written to r.parquet" in said.err) == ("", True)
    columns = pq.read_table(over.folder / "r.parquet").to_pydict()
    assert columns["job"] == [0, 1, 2, 3, 5]
    assert columns["net.kind"] == ["a", "b", "a", "b", "c"]
    assert columns["val.accuracy"][:3] == [0.5, 0.9, 0.7]
    assert sorted(path.name for path in over.folder.glob("*r.par*")) == ["r.parquet"]


def test_some_rows_and_groups(over: Maestro) -> None:
    where = ["--where", "0.005 < lr <= 1 and net.kind in ('a', 'b')"]
    said = over("task", "results", 0, *where)
    assert [line.split()[0] for line in said.out.splitlines()] == ["JOB", "0/0", "0/1", "0/2"]
    assert "3 of 5 rows met the condition" in said.err
    grouped = over("task", "results", 0, *where, "--group-by", "net.kind", "-o", "json").json
    assert grouped[0] == {
        "net.kind": "a", "n": 2, "best": 0.7, "best.job": 2,
        "val.accuracy.mean": pytest.approx(0.6), "val.accuracy.std": pytest.approx(0.02**0.5), "val.accuracy.n": 2,
    }  # fmt: skip
    assert [group["n"] for group in grouped] == [2, 1]
    said = over.line("task results 0 --group-by net.kind")
    assert said.out.splitlines()[1].split() == ["a", "2", "0.7", "0/2", "0.6", "0.141421", "2"]
    assert "best: the highest val.accuracy of a group" in said.err
    assert "No mean, because these are not numbers: curve" in said.err
    text = over.line("task results 0 --group-by net.kind --best 1 -o csv").out.splitlines()
    assert text[1].startswith("b,2,0.9,1,0.9,,1")
    over.line("task results 0 --group-by net.kind --where job==3 --out g.parquet")
    assert pq.read_table(over.folder / "g.parquet").to_pydict()["n"] == [1]
    said = over.line("task results 0 --where lr>7 --group-by lr")
    assert (said.out, "No row met the condition." in said.err) == ("", True)


def test_two_tasks_side_by_side(over: Maestro, world: World) -> None:
    over(*CREATE, "-t", "user.ana.new", "--bypass")
    world.run_all(failing=(1,))
    for job in (0, 2):
        write(over.folder / "user.ana.new", job, json.dumps({"val": {"accuracy": 0.75}}))
    said = over.line("task results 0 user.ana.new --where val.accuracy>0.1")
    rows = [line.split() for line in said.out.splitlines()]
    title = [f"{label}.val.accuracy" for label in ("0", "user.ana.new")]
    assert rows[0] == [
        "lr",
        "net.kind",
        "0.job",
        "user.ana.new.job",
        *title,
        "diff",
        "0.curve",
        "user.ana.new.curve",
    ]
    assert rows[1] == ["1", "a", "0/0", "1/0", "0.5", "0.75", "0.25", "[1,2]"]
    assert rows[2] == ["0.1", "b", "0/1", "0.9", "[1,2]"]
    assert "0 is user.ana.mlp and user.ana.new is user.ana.new" in said.err
    assert "1 config has a result in 0 alone" in said.err
    assert "user.ana.new is better than 0 in 2 of 2 configs (highest val.accuracy)" in said.err
    records = over.line("task results 1 0 -o json --sort diff").json
    assert [record["diff"] for record in records[:2]] == [-0.25, pytest.approx(-0.05)]
    assert "task 0 (user.ana.mlp) is named twice" in over.refused("task", "results", 0, "mlp")
    assert "--group-by takes one task" in over.refused("task", "results", 0, 1, "--group-by", "lr")


MISTAKES = (
    ("--where lr<", "--where, column 4: a value is expected, not the end."),
    (
        "--where lrr<1",
        '--where, column 1: the results have no column "lrr". Did you mean "lr"?',
    ),
    ("--group-by lr,knd", 'no column "knd"'),
    ("--group-by lr --columns net.kind", '"net.kind" has no numbers, so no mean.'),
    ("--sort val.acuracy", 'no column "val.acuracy". Did you mean "val.accuracy"?'),
    ("--best 0", "--best needs a whole number of at least 1."),
    ("--desc", "--desc needs --sort"),
    ("--direction max", "--direction needs --best, --sort or --group-by."),
    ("--direction up --best 1", 'cannot be "up"'),
    ("--desc --sort lr --direction min", "--desc and --direction min contradict each other"),
    ("--sort -lr --direction min", "--sort -lr and --direction min contradict each other"),
    ("--out r.xlsx", "does not end with a known suffix"),
    ("--out nowhere/r.csv", "nowhere/r.csv cannot be written: No such file or directory."),
    ("-o xml", 'cannot be "xml".'),
    ("--columns lr,nothing", 'no column "nothing"'),
)


def test_mistakes(over: Maestro) -> None:
    for command, sentence in MISTAKES:
        assert sentence in over.refused("task", "results", 0, *command.split())


def test_a_picture(over: Maestro) -> None:
    said = over.line("task plot 0")
    assert said.out == "user.ana.mlp.png\n"
    assert (over.folder / "user.ana.mlp.png").read_bytes().startswith(b"\x89PNG")
    assert over.line("task plot 0 -m val.accuracy --out x.svg").out == "x.svg\n"
    drawn = (over.folder / "x.svg").read_text()
    assert drawn.startswith("<?xml")
    assert said.err == (
        "Plotted: val.accuracy against lr, val.accuracy against net.kind and duration of 5 jobs\n"
        "2 jobs have no finite val.accuracy.\n"
    )
    said = over.line("task plot 0 --kind heatmap --direction min --out y.pdf")
    assert said.err.startswith("Plotted: val.accuracy by lr and net.kind\n")
    refused = over.refused("task", "plot", 0, "--kind", "seeds")
    assert "no value is known as a seed" in refused
    assert "--over NAME names a value that tells repetitions apart." in refused
    assert '"net.kind" has no numbers' in over.refused("task", "plot", 0, "-m", "net.kind")
    assert "does not end with .png" in over.refused("task", "plot", 0, "--out", "data.npz")
    assert (over.folder / "data.npz").read_text() == "data"


def test_a_report(over: Maestro) -> None:
    away = over.folder / "away"
    away.mkdir()
    (away / "matplotlib.py").write_text("raise ImportError")
    over.env["PYTHONPATH"] = str(away)
    said = over.line("task report 0")
    assert said.out == "user.ana.mlp.html\n"
    assert "any browser shows it" in said.err
    page = (over.folder / "user.ana.mlp.html").read_text()
    for words in ("val.accuracy", "0/1", "1 job: exit status", "f %DATA %IN %OUT", "<svg"):
        assert words in page
    record = over.line("task report user.ana.mlp -o json").json
    assert record == {
        "task": 0,
        "state": "FINALIZED",
        "file": str(over.folder / "user.ana.mlp.html"),
        "bytes": len((over.folder / "user.ana.mlp.html").read_bytes()),
    }
    assert over.line("task show 0 -o json").json["attach_report"] is True
    assert "The report is attached: user.ana.mlp.html" in over.line("mail show 1").out
    (over.folder / "mine.html").write_text("mine")
    refused = over.refused("task", "report", 0, "--file", "mine.html")
    assert "mine.html exists and is not a report, so it is not replaced." in refused
    assert "--file NAME.html writes another file." in refused
    over.line("user set --mail off")
    said = over(*CREATE, "-t", "user.ana.silent", "--attach-report")
    assert "note: your mail is off, so no report is sent" in said.err
    # Where the volume is not, the report has what the database has.
    (over.folder / "user.ana.mlp").rename(over.folder / "gone")
    assert over.line("task report 0 -q --file x.html").out == "x.html\n"
    assert "metrics.json is not in the database" in (over.folder / "x.html").read_text()


def test_without_pyarrow_and_matplotlib_a_sentence_says_what_to_install(over: Maestro) -> None:
    away = over.folder / "away"
    for name in ("pyarrow", "matplotlib"):
        (away / name).mkdir(parents=True)
        (away / name / "__init__.py").write_text("raise ImportError")
    over.env["PYTHONPATH"] = str(away)
    said = over.refused("task", "plot", 0)
    assert "plots need matplotlib, which is not installed" in said
    assert "pip install 'orchestra-hpc[plot]'" in said
    said = over.refused("task", "results", 0, "--out", "r.parquet")
    assert "pip install 'orchestra-hpc[parquet]'" in said
    assert not list(over.folder.glob("*r.parquet*"))


def test_live_shows_what_running_jobs_have_written(ana: Maestro, world: World) -> None:
    ana(*CREATE, "-t", "user.ana.mlp", "--bypass")
    world.conduct(2)
    pilot = world.pilot(is_root=True)
    grants = pilot.claim(cpu=3)
    pilot.start(*grants[:2])
    write(ana.folder / "user.ana.mlp", 0, '{"epoch": 1, "loss": 2}\n{"epoch": 2, "loss": 1}\n{"ep')
    said = ana.line("task results 0 --live")
    rows = [line.split() for line in said.out.splitlines()]
    assert rows[0] == ["JOB", "state", "age", "lr", "net.kind", "epoch", "loss"]
    assert rows[1][:2] == ["0/0", "running"]
    assert rows[1][-4:] == ["1", "a", "2", "1"]
    assert rows[2] == ["0/1", "running", "0.1", "b"]
    assert "0 of 6 jobs have results, 2 more are running" in said.err
    record, _ = ana.line("task results 0 --live -o json").json
    assert (record["state"], record["loss"]) == ("running", 1)
    assert 0 <= record["age"] < 60
    assert ana.line("task results 0 -o json").json == []
    assert ana.line("task results 0 --live --best 1 -q").out == "0/0\n"
    assert "--live takes one task" in ana.refused("task", "results", 0, 0, "--live")


def test_nothing_is_done_yet(ana: Maestro) -> None:
    ana(*CREATE, "-t", "user.ana.mlp")
    said = ana.line("task results 0")
    assert "No job of task 0 (user.ana.mlp) is done yet" in said.err
    assert ana.line("task results 0 -o json").json == []
    assert "nothing to plot" in ana.refused("task", "plot", 0)


def test_a_volume_that_is_elsewhere(over: Maestro) -> None:
    (over.folder / "user.ana.mlp").rename(over.folder / "gone")
    assert "does not exist on this machine" in over.refused("task", "results", 0)


def test_another_name_for_the_metrics(ana: Maestro, world: World) -> None:
    assert "is not a path below a job's output folder" in ana.refused(
        *CREATE, "-t", "user.ana.x", "--metrics", "../m.json"
    )
    ana(*CREATE, "-t", "user.ana.mlp", "--bypass", "--metrics", "logs/final.yaml")
    assert ana.line("task show 0 -o json").json["metrics_file"] == "logs/final.yaml"
    assert "--goal min:loss" in ana.refused(*CREATE, "-t", "user.ana.x", "--goal", "loss")
    ana(*CREATE, "-t", "user.ana.goal", "--goal", "min: val.loss")
    assert ana.line("task show 1 -o json").json["goal"] == "min:val.loss"
    assert "  goal      the lowest val.loss\n" in ana.line("task show 1").out
    world.run_all(failing=(4,))
    folder = ana.folder / "user.ana.mlp"
    assert "does not exist on this machine" in ana.refused("task", "results", 0)
    (folder / ".attempts/job_configId_0/1/logs").mkdir(parents=True)
    said = ana.line("task results 0")
    assert "No job wrote values into logs/final.yaml" in said.err
    write(folder, 0, "loss: 0.25\n", "logs/final.yaml")
    assert "0.25" in ana.line("task results 0").out
