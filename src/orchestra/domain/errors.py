"""Every error that Orchestra raises on purpose: one root, one sentence, perhaps a hint."""

from __future__ import annotations

import inspect


class OrchestraError(Exception):
    """Something went wrong.

    The message says what is wrong and where; `hint` says what to do next. The docstring's first line
    is the message where none is given.
    """

    exit_status = 2

    def __init__(self, message: str | None = None, *, hint: str | None = None) -> None:
        first_line = (inspect.getdoc(type(self)) or "").partition("\n")[0]
        super().__init__(message or first_line)
        self.hint = hint


class BadInput(OrchestraError):
    """What was given cannot be used."""


class NotFound(OrchestraError):
    """There is nothing by that name."""


class AlreadyExists(OrchestraError):
    """Something by that name exists already."""


class Refused(OrchestraError):
    """That is not possible in the present state."""


class TimedOut(OrchestraError):
    """It was not over in the time that was given."""


class NotDone(OrchestraError):
    """The task has ended, and not all of its jobs are done."""


class ConfigurationError(OrchestraError):
    """The configuration cannot be used."""


class DatabaseUnavailable(OrchestraError):
    """The database cannot be reached."""


class DatabaseBusy(DatabaseUnavailable):
    """The database is there, and a statement waited for longer than it may."""


class DatabaseSilent(DatabaseUnavailable):
    """The database does not answer."""


class AnswerGarbled(DatabaseUnavailable):
    """What came from the database cannot be understood."""


class NoConnectionLeft(DatabaseUnavailable):
    """The database has as many connections as it may have."""


class PasswordRefused(DatabaseUnavailable):
    """The database does not take the password."""


class NoSuchService(DatabaseUnavailable):
    """The variable PGSERVICE names no service that is defined."""


class SchemaMismatch(OrchestraError):
    """The database's schema and this program do not fit together."""


class Fenced(OrchestraError):
    """The database no longer accepts this keeper: its lease was given away."""


class UnknownKeeper(Fenced):
    """The database knows no such keeper."""


class Superseded(OrchestraError):
    """Another process has taken over this duty."""


class Foreign(OrchestraError):
    """This is another cluster's database."""


class Poisonous(OrchestraError):
    """A request ends the database connection each time that it is made."""


class Replaced(DatabaseUnavailable):
    """The database was replaced by another edition of itself; connect to it anew."""


class VolumeError(OrchestraError):
    """A folder or file on the volume cannot be used."""


class Incomplete(OrchestraError):
    """It was done in part; saying it again goes on with the rest."""

    exit_status = 1


class MailRefused(OrchestraError):
    """The mail server will not take this mail."""


class MailDelayed(OrchestraError):
    """The mail cannot be sent now.

    `perhaps_sent` says that nobody knows whether the server has taken it, `about_server` that others would fare alike.
    """

    perhaps_sent = False
    about_server = True


class Cancelled(OrchestraError):
    """Stopped at your request; nothing was changed."""

    exit_status = 130
