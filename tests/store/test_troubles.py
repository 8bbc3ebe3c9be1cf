"""Troubles of pilots and conductors, between versions: each reads what the other writes."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import psycopg

from orchestra.domain import troubles
from orchestra.domain.states import Queue
from orchestra.domain.troubles import Kind, Stuck, Trouble
from orchestra.services import work
from orchestra.services.tasks import views
from orchestra.store.cluster import leader
from orchestra.store.nodes import nodes, queues
from support.world import Pilot, World

IMAGE = "docker://registry.example.org/lab/tool:1"

# As in the previous version.
OLDER_ATTACH = (
    "update pilot set agent = %(agent)s, message = null, silent = '{}' where node_id = %(node)s"
)
OLDER_RENEWAL = (
    "update pilot set message = %(message)s where node_id = %(node)s and agent = %(agent)s"
)
OLDER_LOOK = "select message from pilot where node_id = %(node)s"
OLDER_NOTE = "update leader set troubles = %(why)s, troubles_term = term where duty = 'conductor'"
OLDER_READ = "select troubles from leader where expires > now() and troubles_term = term"


def says(pilot: Pilot, world: World, *said: Trouble) -> None:
    work.renew(world.conn, pilot.node, pilot.agent, [pilot.keeper], troubles=said)


def told(conn: psycopg.Connection) -> tuple[Trouble, ...]:
    """Return what every reader reads, which must be the same."""
    (node,), (pilot,) = nodes.everything(conn), nodes.pilots(conn)
    (offer,) = queues.offers(conn, Queue.CPU)
    assert node.troubles == pilot.troubles == offer.troubles
    assert node.message == pilot.message == troubles.message(node.troubles)
    return node.troubles


def older(world: World, statement: str, **params: Any) -> None:
    assert world.conn.execute(statement, params).rowcount == 1


def test_troubles_are_read_as_written_and_an_older_program_reads_their_text(
    world: World,
) -> None:
    pilot = world.pilot()
    said = (
        troubles.preparing(IMAGE, "a; task 3 cannot run here: b"),
        troubles.no_room("/x", "full"),
    )
    says(pilot, world, *said)
    assert told(world.conn) == said
    message = world._one(OLDER_LOOK.replace("%(node)s", "%s"), pilot.node)
    assert message == f"{said[0].text}; {said[1].text}"
    says(pilot, world)
    assert told(world.conn) == ()
    says(pilot, world, *said)
    work.detach(world.conn, pilot.node, pilot.agent, [])
    assert told(world.conn) == ()


def test_what_an_older_pilot_says_is_shown_and_what_a_newer_one_said_before_it_is_not(
    world: World,
) -> None:
    pilot, agent = world.pilot(), uuid4()
    says(pilot, world, troubles.no_room("/x", "full"))
    older(world, OLDER_ATTACH, node=pilot.node, agent=agent)
    assert told(world.conn) == ()
    message = f"preparing the image {IMAGE}: begins; takes no jobs"
    older(world, OLDER_RENEWAL, node=pilot.node, agent=agent, message=message)
    assert told(world.conn) == (Trouble(Kind.OTHER, message),)
    again = world.pilot()
    assert told(world.conn) == ()
    says(again, world, troubles.no_room("/y", "full"))
    assert told(world.conn) == (troubles.no_room("/y", "full"),)


def test_a_trouble_is_shown_for_the_task_that_it_concerns(world: World) -> None:
    task, pilot = world.task(jobs=2, test_jobs=0), world.pilot()
    world.conduct(2)
    with_conductor = leader.acquire(world.conn, "a", "one", 60, preferred=False)
    assert with_conductor
    elsewhere = troubles.cannot_run(task + 1, f"task {task} cannot run here: so it says")
    says(pilot, world, elsewhere)
    assert views.show(world.conn, str(task)).waiting == ()
    says(pilot, world, elsewhere, troubles.cannot_run(task, "odd; task 3 waits"))
    assert views.show(world.conn, str(task)).waiting == (
        f"The pilot of node gauss says: task {task} cannot run here: odd; task 3 waits",
    )


def test_conductors_of_both_versions_read_each_other(conn: psycopg.Connection) -> None:
    term = leader.acquire(conn, "a", "one", 60, preferred=False)
    assert term
    term.note_stuck(conn, [Stuck(3, "busy"), Stuck("mail", "no")])
    assert leader.troubles(conn).stuck == (Stuck(3, "busy"), Stuck("mail", "no"))
    assert conn.execute(OLDER_READ).fetchone() == ({"task 3": "busy", "mail": "no"},)
    conn.execute(
        "update leader set stuck = stuck || %s", ['[{"what": 5, "why": "odd", "since": 7}]']
    )
    assert leader.troubles(conn).stuck[2] == Stuck(5, "odd"), "of a newer version"
    assert leader.acquire(conn, "b", "two", 60, preferred=True)
    conn.execute(OLDER_NOTE, {"why": '{"task 4": "odd"}'})
    found = leader.troubles(conn)
    assert (found.conductor, found.stuck) == ("two", (Stuck("task 4", "odd"),))
