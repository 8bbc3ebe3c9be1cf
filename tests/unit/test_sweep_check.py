"""A template's files are read back as what was filled in, or the sweep is refused."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from orchestra.domain.errors import BadInput
from orchestra.files import sweeps

ODD = [
    "yes",
    "007",
    "0o17",
    "1_000",
    "1:30",
    "2024-01-01",
    "~",
    "",
    "a: b",
    "# x",
    "1e-5",
    ".inf",
    'b"c',
    "d\\e",
    "x\ny",
]


def filled(folder: Path, template: str, ending: str, values: list[Any]) -> list[str]:
    (folder / f"t{ending}").write_text(template)
    found = {"template": f"t{ending}", "grid": {"x": values}}
    return [config.content for config in sweeps.plan_of(found, folder / "grid.yaml").configs()]


@settings(deadline=None, max_examples=50)
@given(
    value=st.sampled_from(ODD)
    | st.text(max_size=8)
    | st.floats()
    | st.integers()
    | st.booleans()
    | st.none()
)
@pytest.mark.parametrize("template", ["x: {{x}}\n", 'x: "{{x}}"\n', "- [1, {{x}}]\n"])
def test_what_is_filled_in_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, template: str, value: Any
) -> None:
    folder = tmp_path_factory.getbasetemp()
    try:
        _, content = filled(folder, template, ".yaml", [1, value])
    except BadInput:
        if not isinstance(value, str):
            raise
        return
    for found in (yaml.safe_load(content), YAML(typ="safe", pure=True).load(content)):
        read = found["x"] if isinstance(found, dict) else found[0][1]
        if '"' in template:
            assert isinstance(read, str)
            assert read == value or not isinstance(value, str)
        else:
            assert type(read) is type(value)
            assert read == value or math.isnan(read)


@pytest.mark.parametrize(
    ("template", "ending", "values", "sentence"),
    [
        ('{"x": "{{x}}"}', ".json", ["a", 'b"c'], "with x 'b\"c' is not valid JSON"),
        ('{"x": {{x}}}', ".json", [1.0, "abc"], "with x 'abc' is not valid JSON"),
        ('{"x": {{x}}}', ".json", [1.0, math.inf], "with x inf is not valid JSON"),
        ("x = {{x}}", ".toml", [1, None], "with x None is not valid TOML"),
        ("x = {{x}}", ".toml", ["1", 2], "x '1' would not be read as that"),
        ("x: {{x}}", ".yaml", ["a", "no"], "x 'no' would not be read as that"),
    ],
)
def test_what_would_be_read_as_something_else_is_refused(
    tmp_path: Path, template: str, ending: str, values: list[Any], sentence: str
) -> None:
    with pytest.raises(BadInput) as caught:
        filled(tmp_path, template, ending, values)
    assert sentence in str(caught.value)


def test_small_numbers_are_numbers_to_every_reader(tmp_path: Path) -> None:
    (content,) = filled(tmp_path, "x: {{x}}", ".yaml", [1e-05])
    assert yaml.safe_load(content) == {"x": 1e-05}
    (content,) = filled(tmp_path, '{"x": {{x}}}', ".json", [[1e-05, 2]])
    assert json.loads(content) == yaml.safe_load(content) == {"x": [1e-05, 2]}
    assert filled(tmp_path, "/lr {{x}}", ".mac", [1e-05]) == ["/lr 1e-05"]


def test_a_point_without_a_value_for_the_template_is_refused_before_anything_is_written(
    tmp_path: Path,
) -> None:
    (tmp_path / "t.mac").write_text("{{x}}")
    found = {"template": "t.mac", "list": [{"x": 1}, {"y": 2}]}
    with pytest.raises(BadInput, match=r"no value for \{\{x\}\}"):
        sweeps.plan_of(found, tmp_path / "grid.yaml")


def test_the_folder_of_somebody_who_does_not_exist_is_one_sentence(tmp_path: Path) -> None:
    found = {"template": "~nobody-of-that-name/t.mac", "grid": {"x": [1]}}
    with pytest.raises(BadInput, match="cannot be found"):
        sweeps.plan_of(found, tmp_path / "grid.yaml")
