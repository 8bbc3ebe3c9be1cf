"""Why there is no connection: told from a server's English words, or from the code where it has others."""

from __future__ import annotations

import errno
import os

import pytest

from orchestra.domain.errors import (
    DatabaseSilent,
    DatabaseUnavailable,
    NoConnectionLeft,
    PasswordRefused,
)
from orchestra.store.driver.refusals import Code, explain

ADDRESS = {"host": "db", "user": "ana", "dbname": "lab", "password": "geheim"}
BEGINS = 'connection failed: connection to server at "db" (10.0.0.1), port 5432 failed: '
WRONG = "FATAL:  Passwort-Authentifizierung für Benutzer »ana« fehlgeschlagen"


def told(said: str, code: Code | None) -> DatabaseUnavailable:
    return explain(ADDRESS, BEGINS + said, lambda: code)


CODES: dict[Code, tuple[str, type[DatabaseUnavailable]]] = {
    ("28P01", "auth_failed"): ('refused user "ana": password authentication', PasswordRefused),
    ("28000", "ClientAuthentication"): ('does not let user "ana" in', DatabaseUnavailable),
    ("28000", "InitializeSessionUserId"): ('has no user "ana" who may log in', DatabaseUnavailable),
    ("3D000", "InitPostgres"): ('has no database "lab"', DatabaseUnavailable),
    ("42501", "CheckMyDatabase"): ('let user "ana" use database "lab"', DatabaseUnavailable),
    ("53300", "InitProcess"): ("has no connection left", NoConnectionLeft),
    ("57P03", "ProcessStartupPacket"): ("is starting up or shutting down", DatabaseUnavailable),
}


@pytest.mark.parametrize("code", CODES, ids=lambda code: code[0])
def test_a_server_of_any_language_is_understood_by_its_code(code: Code) -> None:
    sentence, kind = CODES[code]
    error = told("ВАЖНО:  нет", code)
    assert str(error).startswith("the database at db:5432 ")
    assert sentence in str(error)
    assert type(error) is kind
    assert error.hint
    is_about_address = str(error.hint).startswith("Check ")
    assert is_about_address is (code[0] not in {"53300", "57P03"})


def test_a_server_that_speaks_english_is_not_asked_again() -> None:
    def ask() -> Code:
        raise AssertionError

    said = 'FATAL:  password authentication failed for user "ana"'
    assert isinstance(explain(ADDRESS, BEGINS + said, ask), PasswordRefused)
    assert "nothing listens there" in str(explain(ADDRESS, BEGINS + "Connection refused", ask))


def test_what_nobody_knows_is_shown_without_its_details_and_secrets() -> None:
    said = "FATAL:  keine Lust auf »geheim«\nDETAIL:  Heute nicht.\nTIP:  Morgen."
    for code in (None, ("XX000", "odd")):
        assert (
            str(told(said, code)) == "the database at db:5432 cannot be used: keine Lust auf »***«"
        )


@pytest.mark.parametrize("number", [errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ETIMEDOUT])
def test_the_operating_system_is_understood_in_the_language_of_the_process(
    number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = {errno.ECONNREFUSED: "Verbindungsaufbau abgelehnt", errno.ETIMEDOUT: "Zu spät"}
    monkeypatch.setattr(os, "strerror", lambda each: words.get(each, f"Fehler {each}"))
    error = told(os.strerror(number), None)
    assert "cannot be reached: " in str(error)
    assert isinstance(error, DatabaseSilent) is (number == errno.ETIMEDOUT)
