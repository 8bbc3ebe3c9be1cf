"""The errors that Orchestra raises on purpose. Each has a sentence, perhaps a hint, a code and parameters."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from orchestra.domain.wording import Sentence, Term

Parameter = str | int | float | bool | None


class OrchestraError(Exception):
    """Something went wrong.

    The message says what is wrong and where, the remedy what to do next. Each edge (command line, Python) rewords both
    in its own terms. The first line of the docstring is the default message.

    Attributes:
        code: the kind of error, for programs. It never changes, unlike class names and sentences.
        params: what the error is about, by name, as JSON values.
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
        """Reword actions, fields and settings with `voice`."""
        from orchestra.domain.wording import reworded

        self.message = reworded(self.message, voice)
        self.remedy = None if self.remedy is None else reworded(self.remedy, voice)
        self.args = (str(self.message),)


@contextmanager
def about(field: str) -> Iterator[None]:
    """Let errors in the block say which field of the request they are about, unless they say so themselves."""
    try:
        yield
    except OrchestraError as error:
        error.params.setdefault("field", field)
        raise


class BadInput(OrchestraError):
    """The input is not valid."""

    code = "bad_input"


class NotFound(OrchestraError):
    """Nothing has that name."""

    code = "not_found"


class AlreadyExists(OrchestraError):
    """Something with that name already exists."""

    code = "already_exists"


class Refused(OrchestraError):
    """This is not possible in the current state."""

    code = "refused"


class NotAllowed(Refused):
    """You do not have permission to do this."""

    code = "not_allowed"


class CrossSite(NotAllowed):
    """The request comes from a page of another site."""

    code = "cross_site"


class TimedOut(OrchestraError):
    """The operation timed out."""

    code = "timed_out"


class NotDone(OrchestraError):
    """The task has ended, but not all of its jobs are done."""

    code = "not_done"


class ConfigurationError(OrchestraError):
    """The configuration is not valid."""

    code = "configuration_error"


class DatabaseUnavailable(OrchestraError):
    """The database cannot be reached."""

    code = "database_unavailable"


class DatabaseBusy(DatabaseUnavailable):
    """The database is busy: a statement waited too long."""

    code = "database_busy"


class DatabaseSilent(DatabaseUnavailable):
    """The database does not answer."""

    code = "database_silent"


class AnswerGarbled(DatabaseUnavailable):
    """The database sent an answer that cannot be read."""

    code = "answer_garbled"


class NoConnectionLeft(DatabaseUnavailable):
    """The database has no free connection."""

    code = "no_connection_left"


class PasswordRefused(DatabaseUnavailable):
    """The database refused the password."""

    code = "password_refused"


class NoSuchService(DatabaseUnavailable):
    """PGSERVICE names a service that is not defined."""

    code = "no_such_service"


class ServerUnavailable(DatabaseUnavailable):
    """The server cannot be reached."""

    code = "server_unavailable"


class NotSignedIn(OrchestraError):
    """The server does not know who you are."""

    code = "not_signed_in"


class TooManyAttempts(OrchestraError):
    """There were too many failed attempts; wait a while."""

    code = "too_many_attempts"


class WrongHost(OrchestraError):
    """The server does not answer under this name."""

    code = "wrong_host"


class SchemaMismatch(OrchestraError):
    """The database's schema does not match this version of Orchestra."""

    code = "schema_mismatch"


class KeeperFenced(OrchestraError):
    """The database no longer accepts this keeper: its lease was reassigned."""

    code = "keeper_fenced"


class UnknownKeeper(KeeperFenced):
    """The database does not know this keeper."""

    code = "unknown_keeper"


class Superseded(OrchestraError):
    """Another process has taken over this role."""

    code = "superseded"


class ForeignDatabase(OrchestraError):
    """This database belongs to another cluster."""

    code = "foreign_database"


class PoisonousRequest(OrchestraError):
    """This request ends the database connection each time it is made."""

    code = "poisonous_request"


class DatabaseReplaced(DatabaseUnavailable):
    """The database was replaced by another copy of itself; reconnect to it."""

    code = "database_replaced"


class VolumeError(OrchestraError):
    """A folder or file on the volume cannot be used."""

    code = "volume_error"


class Incomplete(OrchestraError):
    """The operation was only partly done; repeat it to do the rest."""

    code = "incomplete"


class MailRefused(OrchestraError):
    """The mail server refused this mail."""

    code = "mail_refused"


class MailTooLarge(MailRefused):
    """The mail server does not accept a message of this size."""

    code = "mail_too_large"


class MailDelayed(OrchestraError):
    """The mail cannot be sent now.

    `perhaps_sent`: the server may have accepted it. `about_server`: other mail would fail, too.
    """

    code = "mail_delayed"
    perhaps_sent = False
    about_server = True


class Cancelled(OrchestraError):
    """Cancelled; nothing was changed."""

    code = "cancelled"
