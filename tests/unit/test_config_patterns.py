"""Patterns of configs: the same rule as that of `--include`, as a regular expression."""

from __future__ import annotations

import re

import pytest

from orchestra.domain.config_patterns import as_regex
from orchestra.domain.errors import BadInput

PATHS = (
    "a.yaml", "a.json", "b.yaml", "model/a.yaml", "model/big/a.yaml", "model/big/lr0.1.json", "x[1].yaml", "größe.yaml",
    "a.yaml\n", ".hidden", "model.yaml/c", "a-b.txt", "deep/model/a.yaml", "a\\b.c",
)  # fmt: skip

CASES = {
    "*.yaml": ["a.yaml", "b.yaml", "model/a.yaml", "model/big/a.yaml", "x[1].yaml", "größe.yaml",
               "model.yaml/c", "deep/model/a.yaml"],
    "*": list(PATHS),
    "**": list(PATHS),
    "[ab].yaml": ["a.yaml", "b.yaml", "model/a.yaml", "model/big/a.yaml", "deep/model/a.yaml"],
    "[!a].yaml": ["b.yaml"],
    "x[[]1[]].yaml": ["x[1].yaml"],
    "[a-b-].*": ["a.yaml", "a.json", "b.yaml", "model/a.yaml", "model/big/a.yaml", "a.yaml\n", "deep/model/a.yaml"],
    "[b-a].yaml": [],
    "a-b.txt": ["a-b.txt"],
    "model/*.yaml": ["model/a.yaml"],
    "model/**": ["model/a.yaml", "model/big/a.yaml", "model/big/lr0.1.json"],
    "model": ["model/a.yaml", "model/big/a.yaml", "model/big/lr0.1.json", "deep/model/a.yaml"],
    "model/": ["model/a.yaml", "model/big/a.yaml", "model/big/lr0.1.json", "deep/model/a.yaml"],
    "./model": ["model/a.yaml", "model/big/a.yaml", "model/big/lr0.1.json"],
    "**/**/big/*": ["model/big/a.yaml", "model/big/lr0.1.json"],
    "**/model/*": ["model/a.yaml", "model/big/a.yaml", "model/big/lr0.1.json", "deep/model/a.yaml"],
    "model/**/a.yaml": ["model/a.yaml", "model/big/a.yaml"],
    "*lr0.1*": ["model/big/lr0.1.json"],
    "gr?ße.yaml": ["größe.yaml"],
    "a\\b.c": ["a\\b.c"],
    "(a|b).yaml": [],
}  # fmt: skip


@pytest.mark.parametrize("pattern", CASES)
def test_what_a_pattern_matches(pattern: str) -> None:
    found = [
        path for path in PATHS if re.search(as_regex(pattern).replace("$", r"\Z"), path, re.DOTALL)
    ]
    assert found == CASES[pattern]


@pytest.mark.parametrize("pattern", ["", "/data/a.yaml", "../a.yaml", "a//b", "a\0b", "**/a/" * 6])
def test_patterns_that_can_match_nothing(pattern: str) -> None:
    with pytest.raises(BadInput):
        as_regex(pattern)
