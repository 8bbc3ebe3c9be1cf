"""Every error that Orchestra raises on purpose: one root, one sentence, perhaps a hint, a code and parameters."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from orchestra.domain.wording import Sentence, Term

Parameter = str | int | float | bool | None


class OrchestraError(Exception):
    """Something went wrong.

    The message says what is wrong and where, the remedy what to do next; each edge words both in its own terms, before
    that they are plain. The docstring's first line is the message where none is given.

    Attributes:
        code: what kind of error it is, for programs; it stays, whatever becomes of the class's name and its sentences.
        params: what it is about, by name, in values that JSON has.
    """

    code: ClassVar[str] = "error"

    def __init__(
        self, message: Sentence | None = None, *, hint: Sentence | None = None, **params: Parameter
    ) -> None:
        self.message: Sentence = message or (inspect.getdoc(type(self)) or "").partition("\n")[0]
        self.remedy = hint
        self.params = params
        super().__init__(str(self.message))

    @property
    def hint(self) -> str | None:
        """What to do next, as last worded."""
        return None if self.remedy is None else str(self.remedy)

    def reword(self, voice: Callable[[Term], str | Term]) -> None:
        """Have what it says name actions, fields and settings as `voice` does."""
        from orchestra.domain.wording import reworded

        self.message = reworded(self.message, voice)
        self.remedy = None if self.remedy is None else reworded(self.remedy, voice)
        self.args = (str(self.message),)


class BadInput(OrchestraError):
    """What was given cannot be used."""

    code = "bad_input"


class NotFound(OrchestraError):
    """There is nothing by that name."""

    code = "not_found"


class AlreadyExists(OrchestraError):
    """Something by that name exists already."""

    code = "already_exists"


class Refused(OrchestraError):
    """That is not possible in the present state."""

    code = "refused"


class NotAllowed(Refused):
    """That takes a right that you do not have."""

    code = "not_allowed"


class TimedOut(OrchestraError):
    """It was not over in the time that was given."""

    code = "timed_out"


class NotDone(OrchestraError):
    """The task has ended, and not all of its jobs are done."""

    code = "not_done"


class ConfigurationError(OrchestraError):
    """The configuration cannot be used."""

    code = "configuration_error"


class DatabaseUnavailable(OrchestraError):
    """The database cannot be reached."""

    code = "database_unavailable"


class DatabaseBusy(DatabaseUnavailable):
    """The database is there, and a statement waited for longer than it may."""

    code = "database_busy"


class DatabaseSilent(DatabaseUnavailable):
    """The database does not answer."""

    code = "database_silent"


class AnswerGarbled(DatabaseUnavailable):
    """What came from the database cannot be understood."""

    code = "answer_garbled"


class NoConnectionLeft(DatabaseUnavailable):
    """The database has as many connections as it may have."""

    code = "no_connection_left"


class PasswordRefused(DatabaseUnavailable):
    """The database does not take the password."""

    code = "password_refused"


class NoSuchService(DatabaseUnavailable):
    """The variable PGSERVICE names no service that is defined."""

    code = "no_such_service"


class SchemaMismatch(OrchestraError):
    """The database's schema and this program do not fit together."""

    code = "schema_mismatch"


class KeeperFenced(OrchestraError):
    """The database no longer accepts this keeper: its lease was given away."""

    code = "keeper_fenced"


class UnknownKeeper(KeeperFenced):
    """The database knows no such keeper."""

    code = "unknown_keeper"


class Superseded(OrchestraError):
    """Another process has taken over this duty."""

    code = "superseded"


class ForeignDatabase(OrchestraError):
    """This is another cluster's database."""

    code = "foreign_database"


class PoisonousRequest(OrchestraError):
    """A request ends the database connection each time that it is made."""

    code = "poisonous_request"


class DatabaseReplaced(DatabaseUnavailable):
    """The database was replaced by another edition of itself; connect to it anew."""

    code = "database_replaced"


class VolumeError(OrchestraError):
    """A folder or file on the volume cannot be used."""

    code = "volume_error"


class Incomplete(OrchestraError):
    """It was done in part; saying it again goes on with the rest."""

    code = "incomplete"


class MailRefused(OrchestraError):
    """The mail server will not take this mail."""

    code = "mail_refused"


class MailDelayed(OrchestraError):
    """The mail cannot be sent now.

    `perhaps_sent` says that nobody knows whether the server has taken it, `about_server` that others would fare alike.
    """

    code = "mail_delayed"
    perhaps_sent = False
    about_server = True


class Cancelled(OrchestraError):
    """Stopped at your request; nothing was changed."""

    code = "cancelled"
