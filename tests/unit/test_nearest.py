"""What was probably meant."""

from __future__ import annotations

import pytest

from orchestra.domain.nearest import nearest_name

KNOWN = ("user.ana.tune", "user.ana.area", "user.bob.scan")


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("user.ana.tun", "user.ana.tune"),
        ("user.ana.TUNE", "user.ana.tune"),
        ("user.ana.gpu", None),
        ("user.bb.scan", "user.bob.scan"),
        ("user.ana.scan", None),
    ],
)
def test_two_names_of_one_user_are_not_alike_for_that(typed: str, meant: str | None) -> None:
    assert nearest_name(typed, KNOWN) == meant
