"""Many nodes in one word."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra.domain.errors import BadInput
from orchestra.domain.node_ranges import MOST, expand, squeeze


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("gauss", "gauss"),
        ("gpu[01-03]", "gpu01 gpu02 gpu03"),
        ("gpu[8-10]", "gpu8 gpu9 gpu10"),
        ("gpu[08-10]", "gpu08 gpu09 gpu10"),
        ("gpu[098-101]", "gpu098 gpu099 gpu100 gpu101"),
        ("gpu[1,3,7-9]", "gpu1 gpu3 gpu7 gpu8 gpu9"),
        ("gpu[5]", "gpu5"),
        ("gpu[0-2].lab", "gpu0.lab gpu1.lab gpu2.lab"),
        ("r[1-2]n[01-02]", "r1n01 r1n02 r2n01 r2n02"),
        ("gauss,euler", "gauss euler"),
        ("gpu[1,3],login,cpu[01-02]", "gpu1 gpu3 login cpu01 cpu02"),
        ("a b", "a b"),  # names are checked by whoever creates a node
        ("", ""),
    ],
)
def test_names(text: str, names: str) -> None:
    assert expand(text) == ((names,) if text == "a b" else tuple(names.split(" ")))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("gpu[01-12", "a bracket without its counterpart"),
        ("gpu01-12]", "a bracket without its counterpart"),
        ("gpu[[1-2]]", "a bracket without its counterpart"),
        ("gpu[]", '"" in brackets'),
        ("gpu[a-c]", '"a-c" in brackets'),
        ("gpu[1, 3]", '" 3" in brackets'),
        ("gpu[1-3-5]", '"1-3-5" in brackets'),
        ("gpu[-3]", '"-3" in brackets'),
        ("gpu[٣]", "in brackets"),
        ("gpu[12-01]", "the range 12-01, whose end is before its start"),
        ("gpu[1-3,2]", "names gpu2 twice"),
        ("gauss,gauss", "names gauss twice"),
        ("gauss,", "a comma without a name beside it"),
        (",gauss", "a comma without a name beside it"),
        ("gpu[1-99999]", "names 99,999 nodes; at most 1,000"),
        ("r[1-40]n[1-40]", "names 1,600 nodes"),
        ("gpu[0-999999999999999999]", "at most 1,000"),
    ],
)
def test_mistakes(text: str, why: str) -> None:
    with pytest.raises(BadInput, match=re.escape(why)):
        expand(text)


def test_as_many_as_allowed() -> None:
    assert len(expand(f"n[1-{MOST}]")) == MOST


@pytest.mark.parametrize(
    ("names", "word"),
    [
        ("gpu02 gpu01 gpu03 gpu07 login", "gpu[01-03,07],login"),
        ("gpu8 gpu9 gpu10", "gpu[8-10]"),
        ("gpu08 gpu9 gpu09", "gpu[08,9,09]"),
        ("gpu gpu1", "gpu,gpu1"),
        ("a1b a2b a1c", "a[1-2]b,a1c"),
        ("gauss", "gauss"),
        ("", ""),
    ],
)
def test_names_in_one_word(names: str, word: str) -> None:
    assert squeeze(names.split()) == word


@given(
    st.lists(st.from_regex(r"[an][0-9]{0,3}n?0?[0-9]?", fullmatch=True), min_size=1, unique=True)
)
def test_one_word_is_read_as_the_same_names(names: list[str]) -> None:
    assert sorted(expand(squeeze(names))) == sorted(names)
