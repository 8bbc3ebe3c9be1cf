"""Explanations for connections that a server refuses.

A refusal is recognised by the server's English text, or else by its code, because a server may use any language.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from orchestra.domain.errors import (
    DatabaseSilent,
    DatabaseUnavailable,
    NoConnectionLeft,
    NoSuchService,
    PasswordRefused,
)
from orchestra.domain.wording import Sentence, Setting, words
from orchestra.store.driver.server import OLDEST, place

NEEDED = "the oldest that Orchestra works with"
CHECK_ADDRESS = words("Check ", Setting.POSTGRES, ". Running jobs are not affected.")
AGAIN_SOON = "Try again in a moment. Running jobs are not affected."
UPGRADE_IT = words("Upgrade that server, or use another: ", Setting.POSTGRES, ".")

Code = tuple[str, str]
"""An SQLSTATE, and the routine of PostgreSQL that raised it."""


@dataclass(frozen=True, slots=True)
class _Refusal:
    sentence: str
    kind: type[DatabaseUnavailable] = DatabaseUnavailable
    hint: Sentence = CHECK_ADDRESS


_PASSWORD = _Refusal('refused user "{user}": password authentication failed.', kind=PasswordRefused)
_DATABASE = _Refusal('has no database "{dbname}".')
_HBA = _Refusal('does not let user "{user}" in from this machine (pg_hba.conf).')
_RIGHT = _Refusal('does not let user "{user}" use database "{dbname}".')
_FULL = _Refusal(
    "has no connection left.",
    kind=NoConnectionLeft,
    hint="Close notebooks, scripts and waiting commands that you do not need, or have the server's "
    "max_connections raised. Running jobs are not affected.",
)
_DISK = _Refusal(
    "has no space left on its disk.", hint="Free some space there. Running jobs continue."
)
_STOPS = _Refusal("is shutting down.", hint=AGAIN_SOON)

_BY_WORDS = {
    r"password authentication failed": _PASSWORD,
    r"no password supplied": _Refusal(
        'asks user "{user}" for a password, and the address contains none.'
    ),
    r'role ".*" does not exist': _Refusal('has no user "{user}".'),
    r'database ".*" does not exist': _DATABASE,
    r"no pg_hba\.conf entry": _HBA,
    r"permission denied for database": _RIGHT,
    r"is not permitted to log in": _Refusal('has a user "{user}" who may not log in.'),
    r"too many clients|remaining connection slots|too many connections": _FULL,
    r"No space left on device": _DISK,
    r"system is starting up|in recovery mode": _Refusal("is starting up.", hint=AGAIN_SOON),
    r"system is shutting down": _STOPS,
    r"definition of service|service file": _Refusal(
        "cannot be used while PGSERVICE names no service that is defined.", kind=NoSuchService
    ),
    r"idle_session_timeout": _Refusal(
        f"is older than PostgreSQL {OLDEST}, {NEEDED}.", hint=UPGRADE_IT
    ),
}

# The routine where several refusals have the same code; else "".
_BY_CODE: Mapping[Code, _Refusal] = {
    ("28P01", ""): _PASSWORD,
    ("28000", "ClientAuthentication"): _HBA,
    ("28000", "InitializeSessionUserId"): _Refusal('has no user "{user}" who may log in.'),
    ("3D000", ""): _DATABASE,
    ("42501", ""): _RIGHT,
    ("53100", ""): _DISK,
    ("53300", ""): _FULL,
    ("57P01", ""): _STOPS,
    ("57P03", ""): _Refusal("is starting up or shutting down.", hint=AGAIN_SOON),
}

_SILENT = "it does not answer."
# Messages of the operating system, in this process's language, and of libpq and psycopg.
_UNREACHABLE: tuple[tuple[tuple[int, ...], str, str], ...] = (
    ((errno.ECONNREFUSED, errno.ENOENT), "onnection refused", "nothing listens there."),
    ((), r"translate host name|failed to resolve|getaddrinfo", "no such host."),
    ((errno.EHOSTUNREACH, errno.ENETUNREACH), "No route to host", "there is no route to it."),
    ((errno.ETIMEDOUT,), r"timeout expired|timed out|[Tt]imeout", _SILENT),
    ((errno.EACCES,), "Permission denied", "its socket folder belongs to another user."),
    ((), "SSL", "no agreement about encryption (see sslmode in the address)."),
)


def explain(
    address: Mapping[str, str], text: str, ask: Callable[[], Code | None]
) -> DatabaseUnavailable:
    """Return the error that explains why there is no connection.

    Args:
        address: the parts of the server's address, by libpq's names.
        text: libpq's message.
        ask: asks the server for the code; called if the text is not recognised.
    """
    if refusal := _by_words(text):
        return _refused(address, refusal)
    if reason := _unreachable(text):
        kind = DatabaseSilent if reason is _SILENT else DatabaseUnavailable
        return kind(f"{place(address)} cannot be reached: {reason}", hint=CHECK_ADDRESS)
    if (code := ask()) and (refusal := _by_code(code)):
        return _refused(address, refusal)
    said = _without_secrets(address, text)
    return DatabaseUnavailable(f"{place(address)} cannot be used: {said}", hint=CHECK_ADDRESS)


def _by_words(text: str) -> _Refusal | None:
    return next((found for pattern, found in _BY_WORDS.items() if re.search(pattern, text)), None)


def _by_code(code: Code) -> _Refusal | None:
    return _BY_CODE.get(code) or _BY_CODE.get((code[0], ""))


def _refused(address: Mapping[str, str], refusal: _Refusal) -> DatabaseUnavailable:
    user = address.get("user", "of this account")
    sentence = refusal.sentence.format(user=user, dbname=address.get("dbname") or user)
    return refusal.kind(f"{place(address)} {sentence}", hint=refusal.hint)


def _unreachable(text: str) -> str | None:
    for numbers, pattern, reason in _UNREACHABLE:
        if re.search(pattern, text) or any(os.strerror(number) in text for number in numbers):
            return reason
    return None


def _without_secrets(address: Mapping[str, str], text: str) -> str:
    """Return the server's last message, without additions such as "DETAIL:  ..." in any language."""
    lines = [line for line in text.strip().splitlines() if not re.match(r"[^\W\d]+:  ", line)]
    said = re.sub(r"^.*? failed: [^\W\d]+:  ", "", lines[-1].strip() if lines else "nothing")
    for key in ("password", "sslpassword"):
        if secret := address.get(key):
            said = said.replace(secret, "***")
    return said
