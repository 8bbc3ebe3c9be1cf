"""`maestro user init`: create or upgrade the tables of the database."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestra.cli.local.connection import database

if TYPE_CHECKING:
    from orchestra.cli.context import Context


def run(ctx: Context) -> None:
    """Create or upgrade the tables."""
    from orchestra.services.users import users
    from orchestra.wiring.database import upgrade
    from orchestra.wiring.identity import user_name

    with database(ctx, need_schema=False) as conn:
        change = upgrade(conn, ctx.settings, say=ctx.out.say)
        if change.before == change.after:
            ctx.out.say(f"the database is ready, schema {change.after} (current)")
        elif not change.before:
            ctx.out.say(f"created the tables, schema {change.after}")
        name = user_name(ctx.settings)
        if name not in [user.name for user in users.everybody(conn)]:
            ctx.out.note(f"Next: maestro user create -n {name} -e YOUR_ADDRESS")
