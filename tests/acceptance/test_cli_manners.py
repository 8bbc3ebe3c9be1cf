"""Bad input, a database that is away, Ctrl-C, closed pipes: one sentence, and the right exit status."""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import psycopg
import pytest

from orchestra.store.driver.database import connect
from orchestra.store.schema import migrate
from support.maestro import PROGRAM, Maestro
from support.terminal import at_terminal
from support.waiting import wait_until
from support.world import World

README_EXAMPLE = """{
 "postgres":""postgres://db_username:db_password@db.lps.ufrj.br:5432/your_db_name"
 "email":"your_email@lps.ufrj.br"
 "password":"your_email_password"
 "job_complete_file_name":".complete"
}
"""


@contextmanager
def _silent_server() -> Iterator[int]:
    """A port where connections are taken and never answered."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        yield server.getsockname()[1]


def test_the_original_readmes_configuration(newcomer: Maestro) -> None:
    path = newcomer.home / ".orchestra.json"
    path.write_text(README_EXAMPLE)
    error = newcomer.refused("user", "list")
    assert error.startswith(
        f"error: {path}, line 2, column 14: an extra quote before postgres://\n"
    )
    assert "password@" not in error


def test_a_typo_needs_no_configuration(newcomer: Maestro) -> None:
    (newcomer.home / ".orchestra.json").write_text(README_EXAMPLE)
    assert newcomer.refused("user", "creat") == (
        'error: there is no command "user creat". Did you mean "user create"?\n'
    )
    assert "Usage: maestro user create" in newcomer("user", "create", "--help").out
    assert newcomer("--version").out.startswith("maestro ")


def test_an_unknown_key_is_a_warning_that_leaves_json_alone(maestro: Maestro) -> None:
    url = (maestro.home / ".orchestra.json").read_text()
    (maestro.home / ".orchestra.json").write_text(url.replace("{", '{"colour": "blue", ', 1))
    said = maestro("user", "list", "-o", "json")
    assert said.json == []
    assert said.err.count('"colour" is not a setting') == 1


def test_the_wrong_password(maestro: Maestro, tcp_database_url: str) -> None:
    password = tcp_database_url.partition("//orchestra:")[2].partition("@")[0]
    path = maestro.configure(postgres=tcp_database_url.replace(password, "not-it"))
    error = maestro.refused("node", "list")
    assert 'refused user "orchestra": password authentication failed.' in error
    assert f'Check "postgres" in {path}. Running jobs are not affected.' in error
    assert "not-it" not in error


def test_a_database_that_does_not_exist(maestro: Maestro, tcp_database_url: str) -> None:
    address = tcp_database_url.rpartition("/")[0]
    maestro.env["MAESTRO_POSTGRES"] = f"{address}/nowhere"
    error = maestro.refused("node", "list")
    assert 'has no database "nowhere"' in error
    assert "Check MAESTRO_POSTGRES." in error


def test_nothing_listens(maestro: Maestro) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        port = server.getsockname()[1]
    maestro.configure(postgres=f"postgresql://ana:secret@127.0.0.1:{port}/x")
    error = maestro.refused("user", "init")
    assert f"the database at 127.0.0.1:{port} cannot be reached: nothing listens there." in error
    assert "secret" not in error


def test_no_such_host(maestro: Maestro) -> None:
    maestro.configure(postgres="postgresql://ana@db.invalid:5432/x")
    assert "db.invalid:5432 cannot be reached: no such host" in maestro.refused("user", "list")


def test_an_address_that_is_none(maestro: Maestro) -> None:
    maestro.configure(postgres="db.lps.ufrj.br")
    assert "is not an address of a PostgreSQL server" in maestro.refused("user", "list")


@pytest.mark.parametrize("home", ["<unset>", "/nowhere/at/all", "/proc"])
def test_a_home_that_is_missing_or_cannot_be_written(
    maestro: Maestro, tcp_database_url: str, home: str
) -> None:
    maestro.env |= {"HOME": home, "MAESTRO_POSTGRES": tcp_database_url}
    maestro.line("user create -n bob -e bob@example.org")
    assert maestro("user", "list", "-q").out == "ana\nbob\n"


def test_a_closed_pipe_is_no_error(maestro: Maestro, conn: psycopg.Connection) -> None:
    conn.execute(
        "insert into person (name, email) select 'user' || n, 'a@b.org' from generate_series(1, 20000) n"
    )
    reader, writer = os.pipe()
    process = maestro.start("user", "list", "-o", "json", stdout=writer)
    os.close(writer)
    assert os.read(reader, 1) == b"["
    os.close(reader)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (141, "")


@pytest.mark.parametrize(
    "command",
    [
        "--help", "task --help", "task create --help", "completion bash", "task list -a", "job list 0", "job list 0 -q",
        "task show 0", "task results 0", "dataset list", "node list -o json", "user list", "pilot list", "mail list",
        "db status", "doctor",
    ],
)  # fmt: skip
def test_who_reads_may_go_before_anything_is_printed(
    maestro: Maestro, conn: psycopg.Connection, command: str
) -> None:
    World(conn).task(30)
    reader, writer = os.pipe()
    os.close(reader)
    process = maestro.start(*command.split(), stdout=writer)
    os.close(writer)
    _, err = process.communicate(timeout=60)
    assert "Traceback" not in err
    assert "Exception ignored" not in err
    assert process.returncode in (0, 1, 141)


def _completed(maestro: Maestro, *words: str) -> list[str]:
    """What bash offers behind these words when Tab is pressed."""
    (maestro.home / "maestro.bash").write_text(maestro("completion", "bash").out)
    (maestro.home / "maestro").write_text(f'#!/bin/sh\nexec {shlex.join(PROGRAM)} "$@"\n')
    (maestro.home / "maestro").chmod(0o755)
    script = (
        'PATH="$HOME:$PATH"; source "$HOME/maestro.bash"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); '
        '_shtab_maestro; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(
        ["bash", "-c", script, "bash", "maestro", *words],
        check=False,
        env=maestro.environment(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.needs("bash")
def test_the_shell_completes_commands_options_and_names(
    maestro: Maestro, conn: psycopg.Connection
) -> None:
    World(conn).task(3, "user.ana.mlp")
    World(conn).pilot("gauss")
    assert "show" in _completed(maestro, "task", "s")
    assert "--reason" in _completed(maestro, "task", "hold", "--re")
    assert _completed(maestro, "task", "show", "user.") == ["user.ana.mlp"]
    assert _completed(maestro, "task", "show", "ml") == ["mlp"]
    assert _completed(maestro, "node", "drain", "-n", "") == ["gauss"]
    maestro.configure(postgres="postgresql://ana@127.0.0.1:1/x")
    assert _completed(maestro, "task", "show", "user.") == []


def test_names_for_the_shell_start_nothing_and_say_nothing(newcomer: Maestro) -> None:
    for kind in ("task", "dataset", "node", "user"):
        said = newcomer("completion", "--names", kind)
        assert (said.out, said.err) == ("", "")
    assert not Path(newcomer.env["MAESTRO_DATA_DIR"]).exists()
    (newcomer.home / ".orchestra.json").write_text("{")
    assert newcomer("completion", "--names", "task").err == ""


def test_what_was_created_is_named_alone(maestro: Maestro) -> None:
    (maestro.folder / "x").write_text("1")
    made = [
        ("bob", "user create -q -n bob -e bob@example.org"),
        ("gauss", "node create -q -n gauss -ec 1"),
        ("user.ana.x", "dataset create -q -n user.ana.x -p x"),
        (
            "0",
            "task create -q -t user.ana.t -c user.ana.x -d user.ana.x --exec 'true %IN %OUT %DATA'",
        ),
    ]
    for name, command in made:
        said = maestro.line(command)
        assert said.out == f"{name}\n"


def test_ctrl_c_while_the_database_does_not_answer(maestro: Maestro) -> None:
    with _silent_server() as port:
        maestro.configure(postgres=f"postgresql://ana@127.0.0.1:{port}/x")
        process = maestro.start("user", "list")
        wait_until(lambda: _is_connected(process.pid))
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (130, "", "\nstopped.\n")


def _is_connected(pid: int) -> bool:
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            if str(entry.readlink()).startswith("socket:"):
                return True
    return False


def test_a_database_that_goes_away_meanwhile(
    maestro: Maestro, conn: psycopg.Connection, database_url: str
) -> None:
    terminate = (
        "select count(pg_terminate_backend(pid)) from pg_stat_activity "
        "where datname = current_database() and wait_event_type = 'Lock'"
    )
    with connect(database_url) as other, other.transaction():
        other.execute("lock table node")
        process = maestro.start("node", "list")
        wait_until(lambda: conn.execute(terminate).fetchone() == (1,))
        _, err = process.communicate(timeout=30)
    assert process.returncode == 2
    assert err.startswith("error: the database is shutting down")


def _answered(maestro: Maestro, *arguments: object, typed: str) -> tuple[int, str]:
    """Run a command at a terminal, type something, and give the exit status and the screen."""
    with at_terminal(maestro, *arguments) as terminal:
        terminal.type(typed)
        status = terminal.process.wait(timeout=60)
    return status, terminal.screen


def test_a_restore_asks_and_no_is_the_default(maestro: Maestro, tmp_path: Path) -> None:
    dump = tmp_path / "monday.dump"
    maestro.line("user create -n bob -e bob@example.org")
    maestro("db", "dump", dump)
    maestro.line("user create -n carla -e carla@example.org")
    assert "no terminal to ask" in maestro.refused("db", "restore", dump)
    status, screen = _answered(maestro, "db", "restore", dump, typed="\n")
    assert status == 130
    assert "[y/N]" in screen
    assert maestro("user", "list", "-q").out == "ana\nbob\ncarla\n"
    status, _ = _answered(maestro, "db", "restore", dump, typed="y\n")
    assert status == 0
    assert maestro("user", "list", "-q").out == "ana\nbob\n"


def test_colour_on_a_terminal_alone(maestro: Maestro, conn: psycopg.Connection) -> None:
    World(conn).pilot("gauss")
    assert "\x1b[" not in maestro("node", "list").out
    _, screen = _answered(maestro, "node", "list", typed="")
    assert "\x1b[32monline" in screen
    maestro.env["NO_COLOR"] = "1"
    assert "\x1b[" not in _answered(maestro, "node", "list", typed="")[1]


def test_dump_and_restore(maestro: Maestro, conn: psycopg.Connection, tmp_path: Path) -> None:
    dump = tmp_path / "a'; b.dump"
    maestro("db", "dump", dump)
    assert dump.stat().st_mode & 0o077 == 0
    assert "exists already" in maestro.refused("db", "dump", dump)
    assert "is not a dump" in maestro.refused("db", "restore", "--yes", __file__)
    World(conn).pilot("gauss")
    assert "pilots are online on gauss" in maestro.refused("db", "restore", "--yes", dump)
    conn.execute("update pilot set gone_at = now()")
    maestro("db", "restore", "--yes", dump)
    assert conn.execute("select (select count(*) from node), epoch from cluster").fetchone() == (
        0,
        2,
    )


def test_a_server_is_not_ours_to_stop(maestro: Maestro) -> None:
    for verb in ("start", "stop"):
        assert "which only its administrator can start and stop" in maestro.refused("db", verb)
    status = maestro("db", "status", "-o", "json").json
    newest = len(migrate.known())
    assert (status["kind"], status["running"], status["schema"]) == ("server", True, newest)
    assert "127.0.0.1" in status["address"]
    assert "@" not in status["address"]


def test_an_unexpected_error_leaves_a_file_and_one_sentence(newcomer: Maestro) -> None:
    script = (
        "import sys; from orchestra.cli import main, registry\n"
        "def boom(ctx): raise ZeroDivisionError('secret\\nof two lines')\n"
        "verb = registry.Verb('up', 'x', boom)\n"
        "main.resolve = lambda words: (None, verb, 'up')\n"
        "sys.exit(main.main(['up']))"
    )
    done = subprocess.run(
        [PROGRAM[0], "-c", script],
        check=False,
        capture_output=True,
        text=True,
        env=newcomer.environment() | {"TMPDIR": str(newcomer.home)},
    )
    assert done.returncode == 70
    first, second = done.stderr.splitlines()
    assert first.endswith("this is a bug in Orchestra.")
    [report] = newcomer.home.glob("maestro-bug-*.txt")
    assert str(report) in second
    assert "ZeroDivisionError" in report.read_text()
    assert report.stat().st_mode & 0o077 == 0


def _shell(maestro: Maestro, command: str) -> subprocess.CompletedProcess[str]:
    """Run a line of shell in which "maestro" is the program."""
    script = f'maestro() {{ {shlex.join(PROGRAM)} "$@"; }}; {command}'
    return subprocess.run(
        ["bash", "-c", script],
        check=False,
        cwd=maestro.folder,
        env=maestro.environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_a_full_disk_under_stdout(maestro: Maestro) -> None:
    done = _shell(maestro, "maestro user list -o json > /dev/full")
    assert done.returncode == 2
    assert done.stderr == "error: the operating system reports: No space left on device.\n"


@pytest.mark.parametrize(
    "stream", [">&-", "2>&-", ">&- 2>&-", "<&-", "<&- >&- 2>&-", "2> /dev/full", "<&- 2> /dev/full"]
)
def test_closed_streams(maestro: Maestro, stream: str) -> None:
    done = _shell(maestro, f"maestro user create -n bob -e b@b.org {stream}")
    assert done.returncode == 0
    assert maestro("user", "list", "-q").out == "ana\nbob\n"
    noted = _shell(maestro, f"maestro task list {stream}")  # which says something on stderr alone
    assert noted.returncode == 0
    mistake = _shell(maestro, f"maestro task show 7 {stream}")
    assert mistake.returncode == 2


def test_a_folder_that_is_gone(maestro: Maestro, tmp_path: Path) -> None:
    config = tmp_path / "a.json"
    config.write_text("{}")
    maestro("user", "create", "-n", "bob", "-e", "b@b.org")
    maestro.env["MAESTRO_USERNAME"] = "bob"
    gone = f"mkdir {tmp_path}/gone && cd {tmp_path}/gone && rmdir {tmp_path}/gone"
    made = _shell(maestro, f"{gone} && maestro dataset create -n user.bob.a -p {config} -q")
    assert (made.returncode, made.stdout) == (0, "user.bob.a\n")
    task = "-c user.bob.a -d user.bob.a --exec 'x %DATA %IN %OUT'"
    done = _shell(maestro, f"{gone} && maestro task create -t user.bob.t {task} -v {tmp_path} -q")
    assert (done.returncode, done.stdout) == (0, "0\n")
    for command in ("dataset create -n user.bob.b -p a.json", f"task create -t user.bob.u {task}"):
        refused = _shell(maestro, f"{gone} && maestro {command}")
        assert refused.returncode == 2
        assert "error: the current folder no longer exists." in refused.stderr


def test_a_locale_of_another_encoding_misreads_no_name(maestro: Maestro, tmp_path: Path) -> None:
    folder = tmp_path / "größe"
    folder.mkdir()
    (folder / "ä.json").write_text("{}")
    maestro("user", "create", "-n", "bob", "-e", "b@b.org")
    maestro.env |= {
        "MAESTRO_USERNAME": "bob", "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0",
    }  # fmt: skip
    maestro("dataset", "create", "-n", "user.bob.a", "-p", folder)
    shown = maestro("dataset", "show", "user.bob.a", "-o", "json").json
    assert shown["path"] == str(folder)
    assert [file["path"] for file in shown["manifest"]] == ["ä.json"]


def test_a_dumb_terminal_gets_no_codes(maestro: Maestro, conn: psycopg.Connection) -> None:
    World(conn).pilot("gauss")
    maestro.env["TERM"] = "dumb"
    for words in (["node", "list"], ["doctor"], ["task", "show", "7"]):
        assert "\x1b" not in _answered(maestro, *words, typed="")[1]
    with at_terminal(maestro, "task", "list", "--watch") as watched:
        wait_until(lambda: "No tasks" in watched.screen, describe=lambda: watched.screen)
        watched.interrupt()
        watched.process.wait(10)
        assert "\x1b" not in watched.screen


def test_letters_that_the_terminal_does_not_know(
    maestro: Maestro, conn: psycopg.Connection
) -> None:
    World(conn).pilot("gauss")
    conn.execute(
        "update node set drained_at = now(), drained_by = 'ana', drain_reason = 'größer \u2192'"
    )
    maestro.env |= {"PYTHONIOENCODING": "latin-1", "PYTHONUTF8": "0"}
    done = _shell(maestro, "maestro node list | iconv -f latin1 -t utf8")
    assert "größer \\u2192" in done.stdout
