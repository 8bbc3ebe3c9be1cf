"""Which nodes a task may use."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra.domain.errors import BadInput
from orchestra.domain.labels import labels_of, parse_label, slug, with_labels
from orchestra.domain.models.nodes import Device, FoundResources, Node, Slots
from orchestra.domain.models.placement import ANYWHERE, Placement
from orchestra.domain.placement import admits, parse

GB = 10**9
A100 = Device("GPU-1", "NVIDIA A100-SXM4-80GB", 80 * 2**30)
T4 = Device("GPU-2", "Tesla T4", 15_360 * 2**20)
NODE = Node(
    id=1,
    name="gpu01",
    cpu=Slots(8, 8),
    gpu=Slots(2, 2),
    created_at=datetime(2026, 11, 26, tzinfo=UTC),
    labels={"rack": "3", "ssd": "yes"},
    found=FoundResources(
        cpus=16,
        memory_bytes=64 * 2**30 + 5,
        architecture="x86_64",
        devices=(A100, replace(A100, uuid="GPU-3")),
    ),
)
LABELS = labels_of(NODE)


def test_found_labels() -> None:
    assert LABELS == {
        "gpu": "a100-sxm4-80gb",
        "gpu-memory": "85899M",
        "gpus": "2",
        "cpus": "8",
        "cores": "16",
        "memory": "68719M",
        "arch": "x86_64",
        "node": "gpu01",
        "rack": "3",
        "ssd": "yes",
    }


def test_what_is_unknown_has_no_label() -> None:
    bare = replace(NODE, found=FoundResources(), labels={})
    assert labels_of(bare) == {"gpus": "2", "cpus": "8", "node": "gpu01"}


def test_the_operator_has_the_last_word() -> None:
    named = replace(NODE, labels={"gpu": "big", "cores": "4"}, memory_bytes=32 * GB)
    labels = labels_of(named)
    assert (labels["gpu"], labels["cores"], labels["memory"]) == ("big", "4", "32G")


def test_different_devices_have_the_label_that_is_true_of_all() -> None:
    mixed = replace(NODE, found=replace(NODE.found, devices=(A100, T4)))
    assert "gpu" not in labels_of(mixed)
    assert labels_of(mixed)["gpu-memory"] == "16106M"
    smaller = replace(A100, model="NVIDIA A100-SXM4-40GB")
    assert (
        labels_of(replace(NODE, found=replace(NODE.found, devices=(A100, smaller))))["gpu"]
        == "a100-sxm4"
    )
    # Only enabled ones count.
    one = replace(NODE, gpu=Slots(1, 2), found=replace(NODE.found, devices=(A100, T4)))
    assert (labels_of(one)["gpu"], labels_of(one)["gpus"]) == ("a100-sxm4-80gb", "1")


@pytest.mark.parametrize(
    ("model", "label"),
    [
        ("NVIDIA A100-SXM4-80GB", "a100-sxm4-80gb"),
        ("NVIDIA GeForce RTX 3090", "geforce-rtx-3090"),
        ("Tesla T4", "tesla-t4"),
        ("NVIDIA A100-SXM4-40GB MIG 1g.5gb", "a100-sxm4-40gb-mig-1g.5gb"),
        ("NVIDIA", "nvidia"),
        ("", ""),
    ],
)
def test_models(model: str, label: str) -> None:
    assert slug(model) == label


@pytest.mark.parametrize(
    ("constraint", "holds"),
    [
        ("", True),
        ("gpu=a100", True),
        ("gpu=A100|h100", True),
        ("gpu=a100-sxm4", True),
        ("gpu=a100sxm4", True),
        ("gpu=a10", False),
        ("gpu=100", False),
        ("gpu=80gb", True),
        ("gpu!=t4", True),
        ("gpu!=t4|a100", False),
        ("gpu!=t4|gpu!=a100", False),
        ("gpu=h100", False),
        ("gpu=h100|memory>=64GB", True),
        ("gpu=h100|gpu==a100", True),
        ("gpu=a100,rack=3", True),
        ("gpu=a100 & rack = 4", False),
        ("gpu=a100&&rack=3||rack=4", True),
        ("memory>=64GB", True),
        ("memory>=64GiB", False),
        ("memory>70GB", False),
        ("memory=68719MB", True),
        ("gpu-memory>=80GB", True),
        ("cores>=16", True),
        ("cores>16", False),
        ("cores<=16,cores<17", True),
        ("cpus=8.0", True),
        ("ssd", True),
        ("SSD", True),
        ("nvme|ssd", True),
        ("nvme", False),
        ("nvme!=yes", True),
        ("nvme>=3", False),
        ("rack>2", True),
        ("ssd>2", False),
        ("arch=x86_64", True),
        ("arch=x86", False),
        ("node=gpu01|gpu02", True),
    ],
)
def test_constraints(constraint: str, holds: bool) -> None:
    assert admits(Placement(constraint), "gpu01", LABELS) is holds


@pytest.mark.parametrize("name", ["3090", "rtx3090", "RTX-3090", "geforce", "geforce-rtx"])
def test_models_are_named_by_their_words(name: str) -> None:
    labels = {"gpu": slug("NVIDIA GeForce RTX 3090")}
    assert parse(f"gpu={name}").holds(labels)
    assert not parse(f"gpu={name}ti").holds(labels)


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        (" gpu == A100 | h100 && Rack=3 ", "gpu=A100|h100,rack=3"),
        ("gpu=a100|gpu=h100", "gpu=a100|h100"),
        ("SSD|gpu=a100", "ssd|gpu=a100"),
        (" ", ""),
    ],
)
def test_canonical_text(written: str, canonical: str) -> None:
    assert str(parse(written)) == canonical


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ("gpu=a100,", "a comma without a condition beside it"),
        ("gpu=a100|", 'has "", which is not a condition'),
        ("gpu=", 'has "gpu=", which is not a condition'),
        ("gpu:a100;", 'has "gpu:a100;", which is not a condition'),
        ("(gpu=a100)", 'has "(gpu=a100)", which is not a condition'),
        ("gpu=a 100", "not a condition"),
        ("gpu=~a.*", "not a condition"),
        ("1gpu", 'has "1gpu", which is not the name of a label'),
        ("memory", '"memory" compares "memory" with nothing'),
        ("cores", 'compares "cores" with nothing'),
        ("memory>=64", "has a size without a unit: memory>=64"),
        ("gpu-memory=40", "has a size without a unit"),
        ("cores>=8|16", 'has "16", which is not the name of a label'),
        ("cores>=many", 'compares with "many", which is not a number or a size'),
        ("cores=many", "not a number or a size"),
        ("x" * 2000, "longer than 1000 characters"),
    ],
)
def test_mistakes(written: str, why: str) -> None:
    with pytest.raises(BadInput, match=re.escape(why)) as raised:
        parse(written)
    assert str(raised.value).count(". ") == 0


NAMES = st.sampled_from(["gpu", "rack", "ssd", "node", "zone.a"])
VALUES = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.:/+-]{0,8}", fullmatch=True)
COMPARISONS = st.one_of(
    st.builds("{}{}{}".format, NAMES, st.sampled_from(["=", "==", "!=", " = "]), VALUES),
    st.builds(
        "{}{}{}GB".format,
        st.sampled_from(["memory", "gpu-memory"]),
        st.sampled_from([">=", "<", "<=", ">"]),
        st.integers(0, 99),
    ),
    st.sampled_from(["ssd", "gpu"]),
)
CONSTRAINTS = st.lists(st.lists(COMPARISONS, min_size=1, max_size=3).map("|".join), max_size=4).map(
    ",".join
)
LABELLED = st.dictionaries(NAMES | st.sampled_from(["memory", "gpu-memory"]), VALUES)


@given(CONSTRAINTS, LABELLED)
def test_the_canonical_text_means_the_same(written: str, labels: dict[str, str]) -> None:
    constraint = parse(written)
    again = parse(str(constraint))
    assert again == constraint
    assert again.holds(labels) == constraint.holds(labels)


@given(st.text(max_size=30), LABELLED)
def test_any_text_is_understood_or_refused(written: str, labels: dict[str, str]) -> None:
    try:
        parse(written).holds(labels)
    except BadInput:
        assert not admits(Placement(written), "n", labels)


@given(COMPARISONS, LABELLED)
def test_alternatives_widen_and_conditions_narrow(written: str, labels: dict[str, str]) -> None:
    holds = parse(written).holds(labels)
    assert parse(f"{written},gpu=a100").holds(labels) <= holds
    assert parse(f"gpu=a100|{written}").holds(labels) >= parse("gpu=a100").holds(labels)


def test_names_of_nodes() -> None:
    only = Placement(nodes=("gpu01", "gpu02"))
    assert admits(only, "gpu01", {})
    assert not admits(only, "gpu03", {})
    assert not admits(Placement(not_nodes=("gpu01",)), "gpu01", {})
    assert admits(Placement(not_nodes=("gpu01",)), "gpu02", {})
    assert admits(ANYWHERE, "gpu01", {})
    assert not admits(Placement("gpu=h100", nodes=("gpu01",)), "gpu01", LABELS)


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("gpu=a100", ("gpu", "a100")),
        ("Rack=3", ("rack", "3")),
        ("ssd", ("ssd", "yes")),
        ("rack=", ("rack", "")),
    ],
)
def test_labels(text: str, label: tuple[str, str]) -> None:
    assert parse_label(text) == label


@pytest.mark.parametrize(
    "text", ["", "=3", "1=3", "a b=3", "rack=a b", "rack=3,gpu=a100", "rack=\n", "r" * 64, "é=3"]
)
def test_what_is_no_label(text: str) -> None:
    with pytest.raises(BadInput, match="cannot be a label"):
        parse_label(text)


def test_the_name_of_a_node_is_no_label() -> None:
    with pytest.raises(BadInput, match="always the name"):
        parse_label("node=gpu02")


def test_setting_labels() -> None:
    now = {"rack": "3", "ssd": "yes"}
    assert with_labels(now, {"RACK": "4", "gpu": "a100"}) == {
        "gpu": "a100",
        "rack": "4",
        "ssd": "yes",
    }
    assert with_labels(now, {"rack": "", "nothing": ""}) == {"ssd": "yes"}
    with pytest.raises(BadInput, match="50 labels, not 51"):
        with_labels({}, {f"l{n}": "x" for n in range(51)})
