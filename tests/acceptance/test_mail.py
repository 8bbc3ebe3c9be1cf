"""Mail from the outside: real conductors, a real mail server, and the commands about mail."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from orchestra.domain.transitions import TaskInput
from orchestra.services.tasks import lifecycle
from support import mailserver
from support.maestro import Maestro
from support.mailserver import PASSWORD, USER, MailServer, running
from support.waiting import wait_until
from support.world import World


@pytest.fixture
def server() -> Iterator[MailServer]:
    with running(MailServer()) as one:
        yield one


@pytest.fixture
def lab(maestro: Maestro, tcp_database_url: str, server: MailServer) -> Maestro:
    """User ana, with the mail server in the configuration."""
    maestro.configure(
        postgres=tcp_database_url,
        username="ana",
        email="ana@example.org",
        from_email="lab@example.org",
        smtp_host="localhost",
        smtp_port=server.port,
        smtp_tls="none",
    )
    maestro("task", "list")  # makes the user
    return maestro


def end_a_task(conn: psycopg.Connection) -> int:
    """Make a task of ana end as soon as there is a conductor."""
    world = World(conn)
    task = world.task(jobs=3, name="user.ana.t")
    lifecycle.apply(conn, task, TaskInput.KILL, by="ana", why="wrong data")
    return task


def test_conductor_killed_between_sending_and_marking_as_sent(
    lab: Maestro, conn: psycopg.Connection, server: MailServer
) -> None:
    server.slow = threading.Event()
    first = lab.start("conductor", "run")
    task = end_a_task(conn)
    assert server.arrived.wait(30)  # it has the mail, and has not said so yet
    assert len(server.messages) == 1
    first.send_signal(signal.SIGKILL)
    first.wait(20)
    server.slow.set()
    assert [mail["state"] for mail in lab.line("mail list -o json").json] == ["waiting"]
    lab.start("conductor", "run")
    # Nobody sends it as long as the dead one could still be at it; then somebody does.
    conn.execute("update outbox set next_try = now()")
    wait_until(lambda: len(server.messages) == 2, 30)
    once, again = server.messages
    assert once["Message-ID"] == again["Message-ID"]
    assert once.get_body(("plain",)).get_content() == again.get_body(("plain",)).get_content()  # type: ignore[union-attr]
    wait_until(lambda: lab.line("mail list -o json").json[0]["state"] == "sent", 20)
    assert f"sent to ana@example.org by localhost:{server.port}" in lab("task", "show", task).out


def test_refused_mail_is_shown_and_retried(
    lab: Maestro, conn: psycopg.Connection, server: MailServer
) -> None:
    server.rcpt_answers["ana@example.org"] = "550 5.1.1 no such user"
    lab.start("conductor", "run")
    task = end_a_task(conn)
    wait_until(lambda: "refused" in lab("mail", "list").out, 30)
    assert "550 5.1.1 no such user" in lab.line("mail list --state refused").out
    assert "not sent to ana@example.org: localhost:" in lab("task", "show", task).out
    shown = lab("mail", "show", 1).out
    assert "Subject: [Orchestra] user.ana.t killed: 3 killed" in shown
    assert f"Rerun the 3 not done: maestro task retry {task}" in shown
    server.rcpt_answers.clear()
    assert lab("mail", "retry").out == "1 mail will be sent within seconds\n"
    wait_until(lambda: server.messages, 20)
    assert lab("mail", "retry").out == "no mail was refused\n"
    assert "mail 1 was sent" in lab.refused("mail", "retry", 1)
    assert "there is no mail 77" in lab.refused("mail", "show", 77)


def test_mail_test_reports_the_result(
    lab: Maestro, server: MailServer, tmp_path: Path, tcp_database_url: str
) -> None:
    said = lab("mail", "test").out
    assert said == (
        f"localhost:{server.port} accepted a mail from lab@example.org to ana@example.org\n"
    )
    assert lab("mail", "test", "bob@example.org").out.endswith("to bob@example.org\n")
    assert server.subjects == ["[Orchestra] mail works"] * 2
    assert "is not an e-mail address" in lab.refused("mail", "test", "bob")
    server.rcpt_answers["bob@example.org"] = "550 no such user"
    assert "answered for bob@example.org: 550 no such user" in lab.refused(
        "mail", "test", "bob@example.org"
    )
    lab.env["MAESTRO_SMTP_TLS"] = "starttls"
    assert "does not offer STARTTLS" in lab.refused("mail", "test")
    lab.env |= {"MAESTRO_SMTP_TLS": "none", "MAESTRO_SMTP_HOST": "mail.invalid"}
    assert "no such host" in lab.refused("mail", "test")
    trusted = mailserver.certificates(tmp_path)
    with running(MailServer(), starttls=trusted.context, login=True) as safe:
        lab.env |= {
            "SSL_CERT_FILE": str(trusted.ca),
            "MAESTRO_SMTP_HOST": "localhost",
            "MAESTRO_SMTP_PORT": str(safe.port),
            "MAESTRO_SMTP_TLS": "starttls",
            "MAESTRO_SMTP_USER": USER,
            "MAESTRO_PASSWORD": "not the right one",
        }
        refused = lab.refused("mail", "test")
        assert f"refused the login of {USER}: 535" in refused
        assert "not the right one" not in refused
        lab.env["MAESTRO_PASSWORD"] = PASSWORD
        lab("mail", "test")
        assert len(safe.messages) == 1


def test_mail_without_configuration_is_a_file(newcomer: Maestro) -> None:
    said = newcomer("mail", "test", "ana@example.org").out
    path = Path(said.strip().rpartition(": ")[2])
    assert said.startswith("no mail server is configured, so the mail to ana@example.org is a file")
    assert path.parent == Path(newcomer.env["MAESTRO_DATA_DIR"]) / "mail"
    assert "mail arrives" in path.read_text()
    newcomer.configure(password="x")
    assert 'neither "email" nor "smtp_user" says whose' in newcomer.refused(
        "mail", "test", "a@b.org"
    )


def test_mail_folder_with_a_database_server_is_in_the_state_folder(maestro: Maestro) -> None:
    said = maestro("mail", "test").out
    path = Path(said.strip().rpartition(": ")[2])
    assert path.parent == Path(maestro.env["MAESTRO_STATE_DIR"]) / "mail"


def test_setting_the_address_and_turning_mail_off(
    lab: Maestro, conn: psycopg.Connection, tcp_database_url: str
) -> None:
    assert "there is nothing to change" in lab.refused("user", "set")
    assert "is not an e-mail address" in lab.refused("user", "set", "-e", "ana")
    assert lab("user", "set", "-e", "ana@lab.org").out == "user ana (ana@lab.org): mail is on\n"
    assert lab.line("user list -o json").json[0]["email"] == "ana@lab.org"
    lab("user", "set", "--mail", "off")
    task = end_a_task(conn)
    World(conn).conduct()
    assert lab.line("mail list -o json").json == []
    assert "mail      ana has turned it off" in lab("task", "show", task).out
    lab.env["MAESTRO_MAIL"] = "on"
    lab("task", "list")
    assert lab.line("user list -o json").json[0]["mail"] is True


def test_made_up_address_is_replaced_by_the_configured_one(
    maestro: Maestro, tcp_database_url: str
) -> None:
    maestro.configure(postgres=tcp_database_url, username="eva")
    maestro("task", "list")
    (eva,) = json.loads(maestro.line("user list -o json").out)
    assert eva["email"].startswith("eva@")
    maestro.configure(postgres=tcp_database_url, username="eva", email="eva@example.org")
    maestro("task", "list")
    assert maestro.line("user list -o json").json[0]["email"] == "eva@example.org"
    maestro.configure(postgres=tcp_database_url, username="eva", email="lab@example.org")
    maestro("task", "list")
    assert maestro.line("user list -o json").json[0]["email"] == "eva@example.org"
