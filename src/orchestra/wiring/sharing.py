"""Sharing this machine's embedded database with other machines, and using it here although it is shared."""

from __future__ import annotations

import secrets
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from orchestra.domain.errors import Refused
from orchestra.wiring import Say, say_nothing

if TYPE_CHECKING:
    import psycopg

    from orchestra.config import Settings
    from orchestra.domain.sharing import Access
    from orchestra.store.postgres.postmaster import Place
    from orchestra.store.postgres.sharing import Share


def shared(settings: Settings) -> Share | None:
    """With whom this machine's embedded database is shared; None if with nobody, or if a server is used."""
    if settings.postgres is not None:
        return None
    from orchestra.store.postgres import sharing

    return sharing.read(_place(settings))


def without_own_share(settings: Settings) -> Settings:
    """Return the settings for this machine: here, the database that it shares is its embedded one.

    So that machines with one home folder can have one configuration, which names the shared database.
    """
    if settings.postgres is None or not (_place(settings).data / "share.json").exists():
        return settings
    from orchestra.store.driver.database import check_address
    from orchestra.store.postgres import sharing

    share = sharing.read(_place(settings))
    if share is None:
        return settings
    named = check_address(settings.postgres)
    ours = check_address(share.url("secret"))
    same = all(named.get(key) == ours[key] for key in ("user", "host", "port", "dbname"))
    return replace(settings, postgres=None) if same else settings


def share(settings: Settings, access: Access, port: int | None, *, say: Say = say_nothing) -> Share:
    """Share the embedded database, which is restarted where it listens elsewhere, and return with whom.

    Jobs run on meanwhile. The password stays the same as long as the database is shared.

    Args:
        port: the port; None for the present one, or a free one.

    Raises:
        Refused: a server is configured, or the port is taken.
        DatabaseUnavailable: it does not listen as it should; nothing is shared then.
    """
    from orchestra.store.postgres import sharing
    from orchestra.wiring.database import open_database

    refuse_server(settings)
    place = _place(settings)
    before = sharing.read(place)
    wanted = sharing.Share(
        host=access.host,
        port=_port(access, port, before),
        listen=access.listen,
        networks=access.networks,
        url_file=str(_url_file(settings, place)),
    )
    password = _password(before) or secrets.token_urlsafe(24)
    with open_database(settings, say=say) as conn:
        sharing.make_role(conn, password)
    try:
        sharing.write(place, wanted)
        with _restarted(settings, say) as conn:
            sharing.check(conn, wanted, password)
        _write_url(wanted, password)
    except BaseException:
        _take_back(settings, before)
        raise
    return wanted


def stop_sharing(settings: Settings, *, say: Say = say_nothing) -> bool:
    """Share the embedded database no longer; False if it was not shared. Other machines are disconnected at once."""
    from orchestra.store.postgres import sharing
    from orchestra.wiring.database import open_database

    refuse_server(settings)
    place = _place(settings)
    before = sharing.read(place)
    if before is None:
        return False
    with open_database(settings, say=say) as conn:
        sharing.remove_role(conn)
    sharing.forget(place)
    _restarted(settings, say).close()
    Path(before.url_file).unlink(missing_ok=True)
    return True


def renew_rights(settings: Settings, conn: psycopg.Connection) -> None:
    """Grant other machines their rights again, after the contents of the database were replaced."""
    from orchestra.store.postgres import sharing

    if shared(settings):
        sharing.grant_rights(conn)


def refuse_server(settings: Settings) -> None:
    """Refuse to share what is not ours.

    Raises:
        Refused: the configuration names a server.
    """
    if settings.postgres is not None:
        raise Refused(
            "a PostgreSQL server is used, which other machines can reach already; only an embedded database is shared.",
            hint=f"Its address comes from {settings.origin('postgres')}.",
        )


def _place(settings: Settings) -> Place:
    from orchestra.store.postgres.postmaster import Place
    from orchestra.wiring.folders import data_folder

    return Place(data_folder(settings))


def _port(access: Access, wanted: int | None, before: Share | None) -> int:
    from orchestra.domain.sharing import PORTS
    from orchestra.store.postgres.sharing import is_free

    if before and wanted in (None, before.port):
        return before.port
    free = (
        port
        for port in (PORTS if wanted is None else [wanted])
        if all(is_free(address, port) for address in access.listen)
    )
    found = next(free, None)
    if found is None:
        which = f"port {wanted}" if wanted else f"ports {PORTS[0]} to {PORTS[-1]}"
        raise Refused(
            f"another program uses {which} of {', '.join(access.listen)}.",
            hint="Choose another one with --port.",
        )
    return found


def _url_file(settings: Settings, place: Place) -> Path:
    """Beside the user's configuration: ~/.orchestra.json has ~/.orchestra.url; without a home, in the data folder."""
    if settings.path is None:
        return place.data / "shared.url"
    return settings.path.absolute().with_suffix(".url")


def _password(share: Share | None) -> str | None:
    """The password in a share's file, which other machines may have by now."""
    from orchestra.store.driver.database import check_address

    try:
        text = Path(share.url_file).read_text(encoding="utf-8").strip() if share else ""
    except (OSError, UnicodeDecodeError):
        return None
    return check_address(text).get("password") if text.startswith("postgresql://") else None


def _write_url(share: Share, password: str) -> None:
    from orchestra.store.postgres import initdb

    initdb.write_private(Path(share.url_file), share.url(password) + "\n")


def _restarted(settings: Settings, say: Say) -> psycopg.Connection:
    """Restart the embedded database and connect to it."""
    from orchestra.store.postgres import embedded
    from orchestra.wiring.database import open_database

    embedded.stop(settings.data_dir)
    return open_database(settings, say=say)


def _take_back(settings: Settings, before: Share | None) -> None:
    from orchestra.store.postgres import sharing

    place = _place(settings)
    if before:
        sharing.write(place, before)
    else:
        sharing.forget(place)
    with _restarted(settings, say_nothing) as conn:
        if before is None:
            sharing.remove_role(conn)
