"""Rows that somebody wrote to steer other people's terminals: no command shows a control character of them."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import sql

from orchestra.cli.registry import WORDS
from orchestra.domain.models.pools import PoolSettings
from orchestra.domain.states import Cause
from orchestra.services.pools import pools
from support.maestro import Maestro, Sentence
from support.people import caller
from support.world import World

HOSTILE = "\x1b]0;title\x07\x1b[31m\x9b31m\x7f\t\r\n\b\u202e[red]\x85\u2028"
# What a check or a key of the schema says, or programs compare.
_KEPT = {
    "state", "cause", "queue", "kind", "intent", "figure", "system_identifier", "protocol", "tag", "event", "to_state",
    "from_state", "machine_id", "boot_id", "on_lost",
}  # fmt: skip

COMMANDS = """
task list -a | task list -a -q | task list -a -o json | task show 0 | task show 0 -o json | task show 1
task results 0 | task results 0 -o csv | task results 0 -o json | task results 0 -q | task plot 0 | task report 0
task logs 0
task queue
task queue -o json | task queue -q | task hold 1 | task release 1 | task set 0 --retries 1 | task retry 0
task clean 0 | task delete 1
task wait 0 --timeout 1s | task kill 1 | task delete 0 --remove | task delete 0 --yes | task list
job list 0 | job list 0 -q | job list 0 -o json | job list -a | job logs 0 --failed | job show 0/0 | job show 0/1
job show 0/1 -o json | job explain 0/1
job explain 1/0 | job explain 0/1 -o json | job logs 0/1 | job logs 0/1 -f | job logs 1/0 | job retry 0/1
job kill 1/0 | job retry 0 --state failed --dry-run | job list -a --line *x*
dataset list -a | dataset list -a -q | dataset list -a -o json | dataset show DATASET | dataset show DATASET -o json
dataset update DATASET | dataset delete -n DATASET --yes
node list | node list -q | node list -o json | node show -n NODE | node show -n NODE -o json | node drain -n NODE
node resume -n NODE | node stop -n NODE | node set -n NODE -ec 1 | node lost -n NODE --yes | node delete -n NODE --yes
pool list | pool list -q | pool list -o json | pool show POOL | pool show POOL -o json | pool show POOL --script
pool dry-run POOL | pool dry-run POOL -o json | pool pause POOL | pool resume POOL | pool set POOL --cpus 2
pool delete POOL | pool delete POOL --now --yes
user list | user list -q | user list -o json | user delete -n USER | user set -n USER
user show USER | user show USER -o json | user limit -n USER --cpus 4 | user tokens | user tokens -o json
queue | queue -o json | queue -q | usage | usage --by task,node | usage -o json | usage -o csv
mail list -a | mail list -a -q | mail list -a -o json | mail show MAIL | mail show MAIL -o json | mail retry -a
pilot list | pilot list -q | pilot list -o json | pilot stop -n NODE --yes
db status | doctor | doctor -o json | doctor -q | down --yes
completion --names task | completion --names dataset | completion --names node | completion --names user
"""
ELSEWHERE = {
    "up", "demo", "version", "task create", "task repro", "dataset create", "dataset sweep", "node create", "user init",
    "user create", "pool create", "pool run", "run", "task add", "task clone", "mail test", "pilot run",
    "pilot install", "conductor run", "db start", "db stop", "db dump",
    "db restore", "db accept", "job run", "server run", "server install", "web", "user token", "user revoke",
}  # fmt: skip
"""Print what was typed or nothing of the database, never end, or run a program that prints something itself."""


def poison(conn: psycopg.Connection) -> int:
    """Add control characters to every text of the database but ana's name; gives to how many columns."""
    columns = conn.execute(
        "select c.table_name, c.column_name from information_schema.columns c "
        "join information_schema.tables t using (table_schema, table_name) where c.table_schema = 'orchestra' "
        "and c.data_type = 'text' and t.table_type = 'BASE TABLE' and is_generated = 'NEVER' "
        "and c.table_name not in ('schema_migration', 'migration', 'cluster', 'leader')"
    ).fetchall()
    done = 0
    for table, column in columns:
        if column in _KEPT:
            continue
        query = sql.SQL("update orchestra.{} set {} = {} || %s").format(
            *map(sql.Identifier, (table, column, column))
        )
        if (table, column) == ("person", "name"):
            query += sql.SQL(" where name <> 'ana'")
        try:
            done += conn.execute(query, [HOSTILE]).rowcount > 0
        except psycopg.errors.CheckViolation:
            continue
    conn.execute("update orchestra.attempt set log_tail = %s", [HOSTILE.encode()])
    return done


@pytest.fixture
def poisoned(maestro: Maestro, conn: psycopg.Connection) -> Maestro:
    world = World(conn)
    maestro.line("user list")
    conn.execute("update person set is_admin = true")
    world.person("bob")
    first = world.task(
        3, name="user.bob.one", owner="bob", test_jobs=0, folder=str(maestro.folder / "one")
    )
    pilot = world.pilot(serve_all=True)
    world.conduct(3)
    grants = pilot.claim(cpu=8)
    pilot.start(*grants)
    pilot.end(grants[0])
    pilot.end(grants[1], status=3)
    pilot.end(grants[2], cause=Cause.SIGNAL)
    world.conduct(5)
    conn.execute("update attempt set reason = 'exit status 3' where cause is not null")
    world.task(3, name="user.bob.two", owner="bob", folder=str(maestro.folder / "two"))
    conn.execute(
        "update task set held_at = now(), held_by = 'bob', held_reason = 'why' where id <> %s",
        [first],
    )
    asked = PoolSettings(partition="x", sbatch=("-L", "x"))
    pools.create(conn, caller(conn), "long", "slurm", asked)
    conn.execute(
        "update pool set paused_at = now(), paused_by = 'bob', pause_reason = 'why',"
        " not_before = now() + interval '1 h', refusals = 1, trouble = 'no', silent_since = now(),"
        " silence = 'no', decided_at = now(),"
        ' decision = \'{"why": "because"}\''
    )
    for ended in ("null", "now()"):
        conn.execute(
            "insert into allocation (id, pool_id, engine_id, state, word, reason, ended_at)"
            f" select gen_random_uuid(), id, '1', case when {ended} is null then 'PENDING' else 'ENDED' end, 'W', 'R',"
            f" {ended} from pool"
        )
    conn.execute("update node set drained_at = now(), drained_by = 'bob', drain_reason = 'why'")
    conn.execute("update pilot set message = 'trouble'")
    conn.execute(
        "insert into dataset (name, owner_id) select 'user.bob.d', id from person where name = 'bob'"
    )
    assert poison(conn) > 30
    return maestro


def check(said: Sentence) -> None:
    layout = "\n\t" if said.command.endswith("csv") else "\n"  # a tab steers nothing
    for stream in (said.out, said.err):
        assert stream.translate(dict.fromkeys(map(ord, layout))).isprintable(), said
    assert "\n\x08" not in said.out + said.err


def commands() -> list[str]:
    return [each.strip() for each in COMMANDS.replace("\n", "|").split("|") if each.strip()]


GROUPS = sorted({command.split()[0] for command in commands()})


@pytest.mark.parametrize("group", GROUPS)
def test_no_row_steers_a_terminal(poisoned: Maestro, conn: psycopg.Connection, group: str) -> None:
    def one(query: str) -> str:
        row = conn.execute(query).fetchone()
        assert row
        return str(row[0])

    names = {
        "NODE": one("select name from node"),
        "POOL": one("select name from pool"),
        "USER": one("select name from person where name <> 'ana'"),
        "DATASET": one("select name from dataset where name is not null"),
        "MAIL": one("select coalesce(min(id), 1) from outbox"),
    }
    for command in commands():
        if command.split()[0] != group:
            continue
        said = poisoned(*(names.get(word, word) for word in command.split()), status=None)
        if not command.startswith("job logs"):  # what a job printed is for whoever reads it
            check(said)
        assert said.status != 70, said


def test_no_command_is_left_out() -> None:
    typed = {" ".join(command.split()[:2]) for command in commands()} | set(GROUPS)
    every = {
        f"{word.name} {verb.name}" if word.is_noun else word.name
        for word in WORDS
        for verb in word.verbs()
    }
    assert every <= typed | ELSEWHERE
