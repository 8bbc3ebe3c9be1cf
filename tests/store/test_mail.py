"""Notifications: written with the transaction that they report, and sent at least once, several as one mail."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestra.conductor import attached_reports, silent_nodes
from orchestra.conductor import mailer as mailing
from orchestra.conductor.conductor import Conductor
from orchestra.conductor.mailer import Mailer
from orchestra.domain.errors import Refused, Superseded
from orchestra.domain.models.mails import Mail
from orchestra.domain.models.work import Outcome
from orchestra.domain.notifications import TaskNotification, from_payload
from orchestra.domain.states import Cause, TaskState
from orchestra.domain.transitions import TaskInput
from orchestra.interface.mails import ShowMail
from orchestra.mail import preview
from orchestra.mail.channels import Channels
from orchestra.mail.settings import MailSettings
from orchestra.mail.smtp import Smtp
from orchestra.services import work
from orchestra.services.database import recovery
from orchestra.services.mail import mails, outbox
from orchestra.services.nodes import nodes
from orchestra.services.tasks import lifecycle
from orchestra.services.users import users
from orchestra.store.cluster import leader
from orchestra.store.driver.database import connect, in_transaction
from orchestra.store.mail import mails as mail_store
from orchestra.store.mail import outbox as store
from orchestra.store.schema import migrate
from support import backup
from support.mailserver import MailServer, running
from support.people import as_admin, caller
from support.plans import plan
from support.waiting import wait_until
from support.world import Pilot, World


@pytest.fixture
def server() -> Iterator[MailServer]:
    with running(MailServer()) as one:
        yield one


def all_mails(world: World) -> list[Mail]:
    """All mails, the oldest first."""
    return list(reversed(mail_store.listed(world.conn, person=None, state=None, limit=1000)))


def notifications(world: World) -> list[Any]:
    return [from_payload(mail.kind, mail.payload) for mail in all_mails(world)]


def end(world: World, name: str = "user.ana.task", jobs: int = 2, failing: int = 0) -> int:
    """Run a task to its end."""
    task = world.task(jobs=jobs, name=name, test_jobs=0)
    world.conduct(rounds=2)
    pilot = world.pilot()
    grants = pilot.claim(cpu=jobs)
    pilot.end(*grants[failing:])
    pilot.end(*grants[:failing], status=3)
    world.conduct()
    return task


class SendingMailer:
    """A mailer with a mail server, driven by the test."""

    def __init__(self, world: World, url: str, server: MailServer, **settings: Any) -> None:
        self.world = world
        self.transport = Smtp("localhost", server.port, "none", timeout=20)
        self.settings = MailSettings(self.transport, "lab@example.org", **settings)
        self.mailer = Mailer(self.settings, lambda: connect(url, name="mailer"))
        term = leader.acquire(world.conn, "test", "test", 600, preferred=True)
        assert term
        self.term = term

    def tick(self) -> None:
        """Run it once, and wait until it has sent what is due."""
        self.mailer._check_at = self.mailer._paused_until = 0
        self.mailer.tick(self.world.conn, self.term.check)
        wait_until(lambda: not self.mailer.is_sending, 20)

    def all_may_go(self) -> None:
        """Let the pause after a mail, and that before a next try, be over."""
        self.world.conn.execute("update outbox set sent_at = sent_at - interval '1 h'")
        self.world.conn.execute("update outbox set next_try = now()")


@pytest.fixture
def office(world: World, database_url: str, server: MailServer) -> SendingMailer:
    return SendingMailer(world, database_url, server)


# What is written, and when


def test_owner_is_notified_once_of_each_end_with_its_failures(world: World) -> None:
    task = world.task(jobs=6, test_jobs=2)
    world.conduct()
    pilot = world.pilot()
    pilot.end(*pilot.claim(cpu=9))
    world.conduct(rounds=2)
    *good, bad = pilot.claim(cpu=9)
    pilot.end(*good)
    tail = b"one\nTraceback:\n  line 3\nValueError: \x00 must be positive\n\n"
    failed = Outcome(bad.key, Cause.EXIT, exit_status=3, seconds=1.0, log_tail=tail)
    work.report(world.conn, pilot.keeper, [failed])
    assert all_mails(world) == []
    world.conduct(rounds=3)
    (mail,) = all_mails(world)
    assert (mail.person, mail.task_id, mail.state) == ("ana", task, "waiting")
    (notification,) = notifications(world)
    assert isinstance(notification, TaskNotification)
    assert (notification.outcome, dict(notification.counts), notification.kinds) == (
        "FINALIZED",
        {"done": 5, "failed": 1},
        1,
    )
    assert notification.failures[0].job == f"{task}/5"
    assert notification.failures[0].tail[-2:] == ("  line 3", "ValueError: \\x00 must be positive")
    assert notification.seconds is not None
    lifecycle.apply(world.conn, task, TaskInput.RETRY, by="ana")
    world.conduct()
    pilot.end(*pilot.claim())
    world.conduct()
    assert [each.outcome for each in notifications(world)] == ["FINALIZED", "DONE"]


def test_notification_of_broken_or_killed_task_counts_all_jobs(world: World) -> None:
    broken = world.task(jobs=36)
    world.conduct()
    pilot = world.pilot()
    pilot.end(*pilot.claim(cpu=10), status=1)
    world.conduct(rounds=2)
    assert world.state(broken) is TaskState.BROKEN
    killed = world.task(jobs=3, name="user.ana.two")
    lifecycle.apply(world.conn, killed, TaskInput.KILL, by="bob", why="wrong data")
    world.conduct()
    one, two = notifications(world)
    assert (one.outcome, one.counts, one.why) == (
        "BROKEN", {"broken": 36}, "10 of 10 test jobs failed",
    )  # fmt: skip
    assert one.failures[0].jobs == 10
    assert (two.outcome, two.counts, two.by, two.why) == (
        "KILLED", {"killed": 3}, "bob", "wrong data",
    )  # fmt: skip


def test_only_holds_by_orchestra_are_notified(world: World) -> None:
    task = world.task(jobs=10, test_jobs=0, max_fails=2)
    world.conduct(rounds=2)
    pilot = world.pilot()
    lifecycle.apply(world.conn, task, TaskInput.HOLD, by="ana", why="lunch")
    lifecycle.apply(world.conn, task, TaskInput.RELEASE, by="ana")
    assert all_mails(world) == []
    world.conduct()
    pilot.end(*pilot.claim(cpu=2), status=1)
    world.conduct(rounds=3)
    lifecycle.apply(world.conn, task, TaskInput.RELEASE, by="ana")
    world.conduct()
    changed = [
        Outcome(grant.key, Cause.INPUT, reason="/data/x.json has changed")
        for grant in pilot.claim(cpu=2)
    ]
    for outcome in changed:
        work.report(world.conn, pilot.keeper, [outcome])
    held = [(each.outcome, each.why) for each in notifications(world)]
    assert held == [
        ("HELD", "2 of 10 jobs failed, as many as --max-fails allows"),
        ("HELD", "/data/x.json has changed"),
    ]


def test_rolled_back_change_writes_no_notification(world: World) -> None:
    task = world.task(jobs=3)
    lifecycle.apply(world.conn, task, TaskInput.KILL, by="ana")
    with world.conn.transaction(force_rollback=True):
        lifecycle.apply(world.conn, task, TaskInput.ALL_DEAD, by="ana")
        assert len(all_mails(world)) == 1
    assert (world.state(task), all_mails(world)) == (TaskState.KILL, [])


def test_user_without_mail_gets_none(world: World) -> None:
    ana = caller(world.conn)
    users.change(world.conn, ana, "ana", mail=False)
    end(world)
    assert all_mails(world) == []
    bob = caller(world.conn, "bob")
    with pytest.raises(Refused, match='change user "ana", but you are "bob"'):
        users.change(world.conn, bob, "ana", mail=True)


# Nodes


@pytest.fixture
def busy(world: World) -> Pilot:
    """A pilot that runs two jobs of ana and one of bob; root is the admin."""
    caller(world.conn, "root")
    for owner, jobs in (("ana", 2), ("bob", 1)):
        world.task(jobs=jobs, name=f"user.{owner}.t", owner=owner, test_jobs=0)
    world.conduct(rounds=2)
    pilot = world.pilot(serve_all=True)
    pilot.start(*pilot.claim(cpu=9))
    return pilot


def fall_silent(world: World, minutes: float, *, held: float = 60) -> None:
    world.conn.execute(
        "update pilot set seen_at = now() - make_interval(secs => 60 * %s)", [minutes]
    )
    world.conn.execute(
        "update leader set held_since = now() - make_interval(secs => 60 * %s)", [held]
    )


def notice(world: World) -> list[tuple[str, str]]:
    """Run the duty for silent nodes; return the recipient and kind of all mails so far."""
    silent_nodes.notify(world.conn, lambda step: in_transaction(world.conn, step))
    return [(mail.person, mail.kind) for mail in all_mails(world)]


def test_silent_node_is_notified_once_until_it_is_back(world: World, busy: Pilot) -> None:
    fall_silent(world, 9.9)
    assert notice(world) == []
    fall_silent(world, 11, held=5)  # nobody conducted, so the database may have been away
    assert notice(world) == []
    fall_silent(world, 11)
    everybody = [("ana", "offline"), ("bob", "offline"), ("root", "pilot")]
    assert notice(world) == everybody
    assert [notifications(world)[0].jobs, notifications(world)[2].jobs] == [2, 3]
    fall_silent(world, 500)
    assert notice(world) == everybody
    # It comes back for a moment.
    world.conn.execute("update pilot set silence_told_at = now() - interval '1 h'")
    work.renew(world.conn, busy.node, busy.agent, [busy.keeper])
    assert notice(world) == everybody
    fall_silent(world, 11)
    assert len(notice(world)) == 6


def test_node_that_signed_off_or_is_lost_is_not_notified(world: World, busy: Pilot) -> None:
    fall_silent(world, 11)
    work.detach(world.conn, busy.node, busy.agent, [])
    assert notice(world) == []
    world.conn.execute("update pilot set gone_at = null")
    nodes.lose(world.conn, as_admin(world.conn), "gauss", force=True)
    assert notice(world) == []


def test_upgrade_does_not_notify_of_earlier_silence(
    empty_database_url: str, tmp_path: Path
) -> None:
    own = [migration for migration in migrate.known() if migration.name != "mail"]
    number = next(m.number for m in migrate.known() if m.name == "mail")
    for migration in own[: number - 1]:
        name = f"{migration.number:04}_{migration.name}.sql"
        (tmp_path / name).write_text((migrate.FOLDER / name).read_text())
    with connect(empty_database_url) as conn:
        migrate.migrate(conn, folder=tmp_path)
        conn.execute(
            "insert into person (name, email) values ('root', 'root@example.org');"
            "insert into node (name, cpu_enabled, cpu_max, gpu_enabled, gpu_max) values ('gauss', 1, 1, 0, 0);"
            "insert into pilot (node_id, agent, machine_id, boot_id, host, pid, account, is_root, serve_all, "
            "may_conduct, version, protocol) "
            "select id, gen_random_uuid(), '', '', '', 1, '', false, false, true, '', 1 from node",
            prepare=False,
        )
        world = World(conn)
        fall_silent(world, 600)
        migrate.migrate(conn)
        conn.execute("update person set is_admin = true")
        assert notice(world) == []
        conn.execute("update pilot set silence_told_at = null")
        assert notice(world) == [("root", "pilot")]


def test_admins_are_notified_of_pilot_that_died_with_jobs(world: World, busy: Pilot) -> None:
    other = world.pilot("idle")
    work.close_out(world.conn, other.agent, other.keeper, "its keeper has died")
    assert all_mails(world) == []
    work.close_out(world.conn, busy.agent, busy.keeper, "its keeper has died")
    (mail,) = all_mails(world)
    (notification,) = notifications(world)
    assert (mail.person, notification.node, notification.jobs) == ("root", "gauss", 3)


# Sending


def test_mail_is_sent_once(world: World, office: SendingMailer, server: MailServer) -> None:
    task = end(world, jobs=3, failing=1)
    office.tick()
    (message,) = server.messages
    assert message["Subject"] == "[Orchestra] user.ana.task finalized: 2 done, 1 failed"
    assert message["To"] == "ana@example.org"
    text = message.get_body(("plain",))
    assert text
    assert f"maestro task retry {task}" in text.get_content()
    (mail,) = all_mails(world)
    assert (mail.state, mail.sent_how) == ("sent", f"localhost:{server.port}")
    assert message["Message-ID"] == mail.message_id
    office.all_may_go()
    office.tick()
    assert len(server.messages) == 1


def test_mail_contains_the_best_results(
    world: World, office: SendingMailer, server: MailServer
) -> None:
    task = end(world, jobs=5)
    for index in range(5):
        said = json.dumps({"accuracy": 0.5 + index / 10})
        world.conn.execute(
            "insert into attempt_metrics (task_id, ordinal, number, text, numbers) values (%s, %s, 1, %s, %s)",
            [task, index, said, said],
        )
    office.tick()
    (message,) = server.messages
    text = message.get_body(("plain",))
    assert text
    assert (
        f"Best by accuracy:\n  job  accuracy\n  {task}/4  0.9\n  {task}/3  0.8\n  {task}/2  0.7\n"
        in text.get_content()
    )


def test_mail_at_the_end_has_the_report_where_it_was_asked_for(
    world: World, office: SendingMailer, server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("user.ana.a", "user.ana.b"):
        world.conn.execute("update task set attach_report = true where id = %s", [end(world, name)])
    end(world, "user.ana.plain")
    office.tick()
    (message,) = server.messages
    attached = list(message.iter_attachments())
    assert [each.get_filename() for each in attached] == ["user.ana.a.html", "user.ana.b.html"]
    assert {each.get_content_type() for each in attached} == {"text/html"}
    page = attached[0].get_content()
    assert page.startswith("<!doctype html>")
    assert "Task 0 is " in page
    body = message.get_body(("plain",))
    assert body
    assert body.get_content().count("The report is attached: user.ana.") == 2
    opened = world.interface()(ShowMail(all_mails(world)[0].id))
    assert opened.report == "user.ana.a.html"
    text = preview.text(opened.mail, opened.best, opened.report)
    assert "The report is attached: user.ana.a.html" in text
    # A server that takes less, and reports that are too large together.
    for least, most, told in (
        (
            500,
            5_000_000,
            f"without the report on task 3, which is too large for {office.transport.where}",
        ),
        (10**8, 1_000, "without the report on task 4, because the mail would have more than 1 kB"),
    ):
        server.size_limit = least * 10
        monkeypatch.setattr(attached_reports, "AT_MOST", most)
        task = end(world, f"user.ana.{least}")
        world.conn.execute("update task set attach_report = true where id = %s", [task])
        office.all_may_go()
        office.tick()
        message = server.messages[-1]
        assert list(message.iter_attachments()) == []
        body = message.get_body(("plain",))
        assert body
        assert f"maestro task report {task}" in body.get_content()
        sent = all_mails(world)[-1]
        assert (sent.sent_how or "").endswith(f"but {told}")
        assert world.interface()(ShowMail(sent.id)).report is None


def test_check_for_due_mail_walks_an_index(world: World, office: SendingMailer) -> None:
    world.conn.execute(
        "insert into outbox (message_id, kind, person_id, sent_at) "
        "select n::text, 'task', %s, now() from generate_series(1, 20000) n",
        [world.person()],
    )
    world.conn.execute("analyze outbox")
    params = {"kinds": ["task"], "pause": 60}
    for statement in (store.SQL.due, store.SQL.next_due):
        found = plan(world.conn, statement, params)
        assert "outbox_waiting" in found.indexes
        assert found.buffers < 20


def test_notifications_at_the_same_time_are_one_mail(
    world: World, office: SendingMailer, server: MailServer
) -> None:
    for number in range(5):
        end(world, f"user.ana.t{number}")
    bob = world.task(jobs=1, name="user.bob.t", owner="bob")
    lifecycle.apply(world.conn, bob, TaskInput.KILL, by="bob")
    world.conduct()
    office.tick()
    assert len(server.messages) == 2
    digest = server.messages[0]
    assert digest["Subject"].startswith("[Orchestra] 5 messages: user.ana.t0 done")
    text = digest.get_body(("plain",))
    assert text
    assert all(f"user.ana.t{number} done: all 2 jobs" in text.get_content() for number in range(5))
    # What follows within the minute waits for it to be over.
    end(world, "user.ana.t5")
    end(world, "user.ana.t6")
    office.tick()
    assert len(server.messages) == 2
    office.all_may_go()
    office.tick()
    assert server.subjects[2].startswith("[Orchestra] 2 messages: user.ana.t5 done")


def test_mail_delayed_by_server_is_sent_as_one(world: World, database_url: str) -> None:
    server = MailServer()
    with running(server):
        pass
    office = SendingMailer(world, database_url, server)
    end(world, "user.ana.one")
    office.tick()
    (mail,) = all_mails(world)
    assert mail.state == "waiting"
    assert "nothing listens there" in (mail.last_error or "")
    assert mail.next_try > mail.created_at
    found = mails.summary(world.conn)
    assert (found.waiting, found.refused) == (1, 0)
    assert found.error == mail.last_error
    end(world, "user.ana.two")
    office.all_may_go()
    office.tick()
    assert [mail.tries for mail in all_mails(world)] == [2, 1]
    with running(server):
        office.all_may_go()
        office.tick()
    assert server.subjects == [
        "[Orchestra] 2 messages: user.ana.one done: all 2 jobs, ...",
    ]
    assert [mail.state for mail in all_mails(world)] == ["sent", "sent"]


def test_pauses_between_tries_grow_and_tries_end(world: World, office: SendingMailer) -> None:
    task = end(world)
    pauses = []
    for _ in range(12):
        world.conn.execute("update outbox set next_try = now()")
        batch = outbox.take(world.conn, lambda: None)
        assert batch
        outbox.note_delayed(world.conn, batch, "down", subject="x", perhaps_sent=False)
        row = world.conn.execute(
            "select extract(epoch from next_try - now())::float8 from outbox where task_id = %s",
            [task],
        ).fetchone()
        assert row
        pauses.append(round(row[0], -1))
    assert pauses[:4] == [30, 60, 120, 240]
    assert pauses[-1] == 3600
    assert 3 < (outbox.GIVE_UP_AFTER - len(pauses)) * pauses[-1] / 86400 < 5
    world.conn.execute("update outbox set next_try = now(), tries = 99")
    batch = outbox.take(world.conn, lambda: None)
    assert batch
    outbox.note_delayed(world.conn, batch, "down", subject="x", perhaps_sent=False)
    (mail,) = all_mails(world)
    assert (mail.state, mail.last_error) == ("refused", "given up after 100 tries: down")


def test_delayed_mail_does_not_hold_up_others(
    world: World, office: SendingMailer, server: MailServer
) -> None:
    server.rcpt_answers["ana@example.org"] = "451 greylisted"
    end(world, "user.ana.one")
    bob = world.task(jobs=1, name="user.bob.t", owner="bob")
    lifecycle.apply(world.conn, bob, TaskInput.KILL, by="bob")
    world.conduct()
    office.tick()
    assert [message["To"] for message in server.messages] == ["bob@example.org"]
    server.rcpt_answers.clear()
    office.all_may_go()
    office.tick()
    assert [mail.state for mail in all_mails(world)] == ["sent", "sent"]


def test_refused_mail_is_set_aside_reported_and_can_be_retried(
    world: World, office: SendingMailer, server: MailServer
) -> None:
    root = caller(world.conn, "root")
    server.rcpt_answers["ana@example.org"] = "550 no such user"
    end(world)
    office.tick()
    first, trouble = all_mails(world)
    assert first.state == "refused"
    assert "550 no such user" in (first.last_error or "")
    assert (trouble.person, trouble.kind, trouble.state) == ("root", "trouble", "sent")
    (message,) = server.messages
    assert message["Subject"] == "[Orchestra] mail to ana@example.org could not be sent"
    # A mail about that is not followed by another one.
    server.rcpt_answers["root@example.org"] = "550 nor this one"
    world.conn.execute("update outbox set sent_at = null where id = %s", [trouble.id])
    office.all_may_go()
    office.tick()
    assert len(all_mails(world)) == 2
    server.rcpt_answers.clear()
    ana = caller(world.conn)
    with pytest.raises(Refused, match="belongs to user"):
        mails.again(world.conn, ana, [trouble.id])
    assert mails.again(world.conn, ana, []) == [first.id]
    office.tick()
    assert [mail.state for mail in all_mails(world)] == ["sent", "refused"]
    with pytest.raises(Refused, match="was sent"):
        mails.again(world.conn, root, [first.id])


def test_made_up_address_gets_no_mail(
    world: World, office: SendingMailer, server: MailServer
) -> None:
    caller(world.conn, "root")
    world.person()
    world.conn.execute("update person set email = 'ana@gauss' where name = 'ana'")
    end(world)
    office.tick()
    (mail,) = all_mails(world)
    assert (mail.state, server.messages) == ("refused", [])
    assert "user ana has no e-mail address" in (mail.last_error or "")


def test_slow_server_does_not_delay_the_conductor(
    world: World, database_url: str, server: MailServer
) -> None:
    server.slow = threading.Event()
    transport = Smtp("localhost", server.port, "none", timeout=30)
    stop = threading.Event()
    with connect(database_url) as mine:
        mailer = Mailer(MailSettings(transport, "lab@example.org"), lambda: connect(database_url))
        conductor = Conductor(stop, name="test", mailer=mailer)
        conductor._begin(mine)
        end(world)
        conductor._tick()
        assert server.arrived.wait(10)
        task = world.task(jobs=3, name="user.ana.next")
        conductor._tick()
        assert world.state(task) is TaskState.TESTING
        assert mailer.is_sending
        assert all_mails(world)[0].state == "waiting"
        server.slow.set()
        wait_until(lambda: all_mails(world)[0].state == "sent", 20)
    assert len(server.messages) == 1


def test_perhaps_sent_mail_is_sent_again_unchanged(
    world: World, office: SendingMailer, server: MailServer
) -> None:
    server.slow = threading.Event()
    hasty = Smtp("localhost", server.port, "none", timeout=2)
    office.mailer._settings = MailSettings(hasty, "lab@example.org")
    end(world, "user.ana.one")
    office.tick()
    assert all_mails(world)[0].state == "waiting"
    server.slow.set()
    office.mailer._settings = MailSettings(office.transport, "lab@example.org")
    end(world, "user.ana.two")
    office.all_may_go()
    office.tick()
    once, again, *rest = server.messages
    assert once["Message-ID"] == again["Message-ID"] == all_mails(world)[0].message_id
    assert once["Subject"] == again["Subject"] == "[Orchestra] user.ana.one done: all 2 jobs"
    office.all_may_go()
    office.tick()
    assert rest + server.messages[2:], "the other one follows"
    assert [mail.state for mail in all_mails(world)] == ["sent", "sent"]


def test_two_conductors_do_not_send_the_same_mail(world: World, database_url: str) -> None:
    end(world)
    with connect(database_url) as other:
        first = outbox.take(world.conn, lambda: None)
        assert first
        assert outbox.take(other, lambda: None) is None
        assert not outbox.is_due(other, immediate=True)
        # The first one never comes back.
        world.conn.execute("update outbox set next_try = now()")
        second = outbox.take(other, lambda: None)
    assert second
    assert second.message_id == first.message_id


def test_conductor_without_term_sends_nothing(
    world: World, office: SendingMailer, server: MailServer
) -> None:
    end(world)
    world.conn.execute("update leader set term = term + 1")
    office.tick()
    assert server.messages == []
    with pytest.raises(Superseded):
        outbox.take(world.conn, lambda: office.term.check(world.conn))
    assert all_mails(world)[0].tries == 0


def test_restored_database_sends_no_old_mail(
    world: World, office: SendingMailer, server: MailServer
) -> None:
    end(world)
    backup.take(world.conn)
    office.tick()
    assert len(server.messages) == 1
    backup.put_back(world.conn)
    recovery.begin(world.conn, recovery.OLDER, who="test")
    office.all_may_go()
    office.term = leader.acquire(world.conn, "test", "test", 600, preferred=True) or office.term
    world.conn.execute("update leader set expires = now() - interval '1 s', preferred = false")
    renewed = leader.acquire(world.conn, "test", "test", 600, preferred=True)
    assert renewed
    office.term = renewed
    office.tick()
    assert len(server.messages) == 1
    (mail,) = all_mails(world)
    assert mail.state == "refused"
    assert "set aside when the database was replaced" in (mail.last_error or "")


def test_unknown_notification_waits_and_invalid_one_is_set_aside(
    world: World, office: SendingMailer, server: MailServer
) -> None:
    person = world.person()
    for kind in ("newfangled", "task"):
        store.add_for_person(world.conn, person, kind, {"unknown": 1})
    end(world)
    office.tick()
    states = {mail.kind + str(mail.task_id): mail.state for mail in all_mails(world)}
    assert states == {"newfangledNone": "waiting", "taskNone": "refused", "task0": "sent"}


def test_old_mail_is_deleted(world: World) -> None:
    end(world, "user.ana.one")
    end(world, "user.ana.two")
    world.conn.execute(
        "update outbox set sent_at = now() - interval '40 days' where id = (select min(id) from outbox)"
    )
    outbox.tidy(world.conn)
    assert len(all_mails(world)) == 1


def test_pending_mail_is_sent_when_the_conductor_ends(
    world: World, database_url: str, server: MailServer
) -> None:
    transport = Smtp("localhost", server.port, "none", timeout=5)
    stop = threading.Event()
    mailer = Mailer(MailSettings(transport, "lab@example.org"), lambda: connect(database_url))
    with connect(database_url) as mine:
        conductor = Conductor(stop, name="test", mailer=mailer)
        conductor._begin(mine)
        conductor._tick()
        end(world)
        stop.set()
        conductor.serve(mine)  # nothing but its end
    assert len(server.messages) == 0, "it held no term"
    stop.clear()
    thread = threading.Thread(target=_serve_until, args=(conductor, database_url))
    thread.start()
    wait_until(lambda: conductor._term.is_held, 10)
    stop.set()
    thread.join(20)
    assert len(server.messages) == 1


def _serve_until(conductor: Conductor, url: str) -> None:
    with connect(url) as conn:
        conductor.serve(conn)


# Channels


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of modules that apprise imports
def test_channels_are_notified_once(
    world: World, database_url: str, server: MailServer, hook: Callable[[], list[Any]]
) -> None:
    url = hook.url  # type: ignore[attr-defined]
    office = SendingMailer(world, database_url, server, channels=Channels((url,)))
    server.rcpt_answers["ana@example.org"] = "451 later"
    end(world)
    office.tick()
    office.all_may_go()
    server.rcpt_answers.clear()
    office.tick()
    (told,) = hook()
    assert told["title"] == "[Orchestra] user.ana.task done: all 2 jobs"
    assert "maestro task show" in told["message"]
    assert len(server.messages) == 1


@pytest.fixture
def hook() -> Iterator[Any]:
    """A web hook on this machine, for json:// of apprise."""
    from http.server import BaseHTTPRequestHandler, HTTPServer

    told: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Say nothing."""

    class Hook:
        def __init__(self, url: str) -> None:
            self.url = url

        def __call__(self) -> list[Any]:
            return told

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield Hook(f"json://127.0.0.1:{server.server_port}/")
    server.shutdown()
    thread.join(10)
    server.server_close()


def test_pause_between_mails_is_one_minute() -> None:
    assert outbox.PAUSE == 60
    assert mailing.LAST_MAIL_SECONDS < 5
