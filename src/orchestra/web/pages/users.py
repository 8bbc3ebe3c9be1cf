"""The users: who they are, and forms to create, change and delete one."""

from __future__ import annotations

from urllib.parse import quote

from starlette.responses import Response

from orchestra.api.call import Call
from orchestra.api.endpoints import Endpoint
from orchestra.domain.errors import (
    AlreadyExists,
    BadInput,
    NotAllowed,
    NotFound,
    OrchestraError,
    Refused,
)
from orchestra.domain.human import one_line
from orchestra.domain.models.users import NewLimits, User, UserLimit
from orchestra.domain.resources import WHOLE
from orchestra.domain.user_limits import in_words, parse_gpus, shares_in_words
from orchestra.interface.problems import status_of
from orchestra.interface.user_changes import CreateUser, DeleteUser, LimitUser, SetUser
from orchestra.interface.users import GetUser, ListUsers
from orchestra.web.forms import Form, posted
from orchestra.web.rendering import go, page

Mistake = (AlreadyExists, BadInput, Refused)


def show(call: Call) -> Response:
    """Show all users, and to admins a form for a new one."""
    return _list(call, Form({}))


def create(call: Call) -> Response:
    """Create a user."""
    form = posted(call)
    try:
        user = call.ask(CreateUser(form.text("name"), form.text("email")))
    except Mistake as error:
        return _list(call, form, error)
    return go(call, "/users", f"User {user.name} is created.")


def _list(call: Call, form: Form, error: OrchestraError | None = None) -> Response:
    return page(
        call,
        "users.html",
        status=status_of(error) if error else 200,
        here="Users",
        users=call.ask(ListUsers()),
        limits=_limits,
        form=form,
        error=error,
    )


def _limits(user: User) -> str:
    shares = shares_in_words(user.shares) if user.shares != 1 else ""
    return ", ".join(filter(None, (in_words(user.limits), shares)))


def edit(call: Call) -> Response:
    """Show the form for a user's address, mail and rights.

    Raises:
        NotFound: there is no such user.
        NotAllowed: it is somebody else, and the caller is not an admin.
    """
    user = _changeable(call)
    values = {"email": user.email, "mail": "true" * user.mail, "admin": "true" * user.is_admin}
    return _form(call, user, Form.of(values.items()))


def change(call: Call) -> Response:
    """Change a user.

    Raises:
        NotFound, NotAllowed: as `edit`.
    """
    user, form = _changeable(call), posted(call)
    admin = form.ticked("admin") if call.identity.admin else user.is_admin
    asked = SetUser(
        user.name,
        email=form.text("email"),
        mail=form.ticked("mail"),
        admin=admin if admin != user.is_admin else None,
    )
    try:
        call.ask(asked)
    except Mistake as error:
        return _form(call, user, form, error)
    return go(call, "/users", f"User {user.name} is changed.")


def edit_limits(call: Call) -> Response:
    """Show the form for a user's limits and shares.

    Raises:
        NotFound, NotAllowed: as `edit`, or the caller is not an admin.
    """
    user = _limitable(call)
    limits = user.limits
    values = {
        "cpus": "" if limits.cpus is None else str(limits.cpus),
        "gpus": "" if limits.gpu_milli is None else f"{limits.gpu_milli / WHOLE:g}",
        "running": "" if limits.running is None else str(limits.running),
        "shares": f"{user.shares:g}",
    }
    return _form(call, user, Form.of(values.items()), template="user_limits.html")


def limit(call: Call) -> Response:
    """Change a user's limits and shares.

    Raises:
        NotFound, NotAllowed: as `edit_limits`.
    """
    user, form = _limitable(call), posted(call)
    try:
        new = NewLimits(
            cpus=_whole(form, "cpus"),
            gpu_milli=parse_gpus(form.text("gpus")) if form.text("gpus") else None,
            running=_whole(form, "running"),
            shares=_shares(form.text("shares")),
            removed=tuple(limit for limit in UserLimit if not form.text(limit)),
        )
        call.ask(LimitUser(user.name, new))
    except Mistake as error:
        return _form(call, user, form, error, template="user_limits.html")
    return go(call, "/users", f"The limits of user {user.name} are changed.")


def _limitable(call: Call) -> User:
    user = call.ask(GetUser(call.params["name"]))
    if not call.identity.admin:
        raise NotAllowed(f'only an admin may limit users, but you are "{call.identity.user.name}".')
    return user


def _whole(form: Form, name: str) -> int | None:
    text = form.text(name)
    if text and not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise BadInput(f'"{one_line(text)}" is not a whole number of at least 0.')
    return int(text) if text else None


def _shares(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise BadInput(f'"{one_line(text)}" is not a number of shares.') from None


def _form(
    call: Call,
    user: User,
    form: Form,
    error: OrchestraError | None = None,
    template: str = "user.html",
) -> Response:
    return page(
        call,
        template,
        status=status_of(error) if error else 200,
        here="Users",
        user=user,
        form=form,
        error=error,
    )


def ask_before_deletion(call: Call) -> Response:
    """Say what the deletion of a user would do.

    Raises:
        NotFound, NotAllowed: as `edit`.
    """
    return _question(call, _changeable(call))


def delete(call: Call) -> Response:
    """Delete a user.

    Raises:
        NotFound, NotAllowed: as `edit`.
    """
    user = _changeable(call)
    try:
        call.ask(DeleteUser(user.name))
    except (NotAllowed, NotFound):
        raise
    except Refused as error:
        return _question(call, user, error)
    return go(call, "/users", f"User {user.name} is deleted.")


def _question(call: Call, user: User, refused: OrchestraError | None = None) -> Response:
    return page(
        call,
        "preview.html",
        status=status_of(refused) if refused else 200,
        here="Users",
        question=f"Delete user {user.name}?",
        consequences=("Their tokens end, and their nodes belong to the admins.",),
        path=f"/users/{quote(user.name, safe='')}/delete",
        button="Delete",
        kind="danger",
        back="/users",
        refused=refused,
    )


def _changeable(call: Call) -> User:
    user = call.ask(GetUser(call.params["name"]))
    if not call.identity.caller.may_change(user.name):
        raise NotAllowed(
            f'only an admin may change user "{user.name}", but you are "{call.identity.user.name}".'
        )
    return user


ENDPOINTS = (
    Endpoint("GET", "/users", show),
    Endpoint("POST", "/users", create),
    Endpoint("GET", "/users/{name}", edit),
    Endpoint("POST", "/users/{name}", change),
    Endpoint("GET", "/users/{name}/limits", edit_limits),
    Endpoint("POST", "/users/{name}/limits", limit),
    Endpoint("GET", "/users/{name}/delete", ask_before_deletion),
    Endpoint("POST", "/users/{name}/delete", delete),
)
