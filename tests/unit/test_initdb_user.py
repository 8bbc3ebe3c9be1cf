"""initdb for an account that only a number knows."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from orchestra.domain.errors import DatabaseUnavailable
from orchestra.store.postgres import initdb_user
from orchestra.store.postgres.programs import Programs


@pytest.fixture
def programs(tmp_path: Path) -> Programs:
    """An initdb that says what it sees."""
    (tmp_path / "initdb").write_text('#!/bin/sh\necho "$@"; echo "$NSS_WRAPPER_PASSWD"; env')
    (tmp_path / "initdb").chmod(0o755)
    return Programs(tmp_path, 18)


def test_without_a_user_namespace_a_sentence_says_what_helps(
    programs: Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 2_000_000_001)
    monkeypatch.setattr(
        initdb_user, "_as_another", lambda: ["sh", "-c", "echo unshare: not permitted >&2; exit 1"]
    )
    with pytest.raises(DatabaseUnavailable) as caught:
        initdb_user.run(programs, ["-D", "x"])
    assert "uid 2000000001 has no entry in passwd" in str(caught.value)
    assert "unshare: not permitted" in str(caught.value)
    assert '"postgres" in the configuration' in str(caught.value.hint)
    monkeypatch.setattr(initdb_user, "_as_another", lambda: ["false"])
    with pytest.raises(DatabaseUnavailable, match="can be made instead: unshare ended with 1"):
        initdb_user.run(programs, ["-D", "x"])
    monkeypatch.setattr(initdb_user, "_as_another", list)
    with pytest.raises(DatabaseUnavailable, match="there is no unshare, or no other account"):
        initdb_user.run(programs, ["-D", "x"])


def test_an_account_without_an_entry_runs_it_as_another(
    programs: Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 2_000_000_001)
    monkeypatch.setattr(initdb_user, "_as_another", lambda: ["env", "AS=another"])
    assert "AS=another" in initdb_user.run(programs, ["-D", "x"]).stdout.splitlines()


def test_an_account_with_an_entry_runs_it_as_itself(
    programs: Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(initdb_user, "has_entry", lambda: True)
    monkeypatch.setenv("NSS_WRAPPER_PASSWD", "/etc/mine")
    assert initdb_user.run(programs, ["-D", "x"]).stdout.splitlines()[:2] == ["-D x", "/etc/mine"]


def test_what_nss_wrapper_needs_is_nothing_that_others_see(
    programs: Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LD_PRELOAD", "/nowhere.so")
    monkeypatch.delenv("NSS_WRAPPER_PASSWD", raising=False)
    assert "LD_PRELOAD" not in initdb_user.run(programs, []).stdout
