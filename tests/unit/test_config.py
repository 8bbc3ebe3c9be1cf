"""The configuration: what wins over what, and what is said of a file that cannot be used."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from orchestra.config import SETTINGS, Settings, load
from orchestra.domain.errors import ConfigurationError

README_EXAMPLE = """{
 "postgres":""postgres://db_username:db_password@db.lps.ufrj.br:5432/your_db_name"
 "email":"your_email@lps.ufrj.br"
 "password":"your_email_password"
 "job_complete_file_name":".complete"
}
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path


def _write(home: Path, text: str | bytes, mode: int = 0o600) -> Path:
    path = home / ".orchestra.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    path.chmod(mode)
    return path


def _load(home: Path, **environ: str) -> Settings:
    return load(environ={"HOME": str(home), "MAESTRO_SYSTEM_CONFIG": "", **environ})


def _refused(home: Path, text: str | bytes) -> tuple[str, str]:
    """Return the sentence without the file's name, and the hint."""
    path = _write(home, text)
    with pytest.raises(ConfigurationError) as caught:
        _load(home)
    message = str(caught.value)
    assert message.startswith(str(path))
    return message.removeprefix(str(path)).lstrip(",: "), caught.value.hint or ""


def test_without_a_file_everything_has_a_default(home: Path) -> None:
    settings = _load(home)
    assert settings.postgres is None
    assert settings.lease == 12 * 3600
    assert (settings.smtp_host, settings.smtp_port, settings.smtp_tls) == (None, None, "starttls")
    assert settings.warnings == ()


def test_the_environment_wins_over_the_file(home: Path) -> None:
    path = _write(home, '{"email": "a@file.org", "volume": "~/results", "smtp_port": 25}')
    settings = _load(home, MAESTRO_EMAIL="a@environment.org", MAESTRO_LEASE="90 s")
    assert settings.email == "a@environment.org"
    assert settings.volume == Path("~/results").expanduser()
    assert (settings.smtp_port, settings.lease) == (25, 90)
    assert settings.origin("email") == "MAESTRO_EMAIL"
    assert settings.origin("smtp_port") == str(path)
    assert settings.origin("node") == "the defaults"


def test_an_empty_variable_takes_a_setting_back(home: Path) -> None:
    _write(home, '{"postgres": "postgresql://a@b/c", "node": "x"}')
    assert _load(home, MAESTRO_POSTGRES="").postgres is None
    assert _load(home).node == "x"


def test_a_named_file_wins_and_must_exist(home: Path) -> None:
    _write(home, '{"node": "usual"}')
    other = home / "other.json"
    other.write_text('{"node": "other"}')
    assert _load(home, MAESTRO_CONFIG=str(other)).node == "other"
    assert load(str(other), {"HOME": str(home)}).node == "other"
    with pytest.raises(ConfigurationError, match="there is no configuration"):
        load(str(home / "none.json"), {})


@pytest.fixture
def system(home: Path) -> Path:
    """A file in the place of /etc/orchestra.json."""
    return home / "etc.json"


def _load_both(home: Path, system: Path, **environ: str) -> Settings:
    return _load(home, MAESTRO_SYSTEM_CONFIG=str(system), **environ)


def test_the_machines_file_is_below_the_users_key_by_key(home: Path, system: Path) -> None:
    system.write_text('{"smtp_port": 25, "node": "lab", "lease": "1 h", "email": "a@lab.org"}')
    own = _write(home, '{"node": "mine", "lease": null}')
    settings = _load_both(home, system, MAESTRO_EMAIL="a@environment.org")
    assert (settings.smtp_port, settings.node, settings.lease) == (25, "mine", 12 * 3600)
    assert settings.origin("smtp_port") == str(system)
    assert settings.origin("node") == settings.origin("lease") == str(own)
    assert settings.origin("email") == "MAESTRO_EMAIL"
    assert (settings.path, settings.system_path) == (own, system)
    other = home / "other.json"
    other.write_text('{"node": "other"}')
    settings = _load_both(home, system, MAESTRO_CONFIG=str(other))
    assert (settings.smtp_port, settings.node) == (25, "other")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"node": "a",}', ", line 1, column 13: an extra comma"),
        ('{"node": "a", "smtp_port": "x"}', ', line 1, column 15: "smtp_port" must be'),
        ('{"nodes": "a"}', ', line 1, column 2: "nodes" is not a setting. Did you mean "node"?'),
        (None, "there is no configuration "),
    ],
)
def test_errors_name_the_machines_file(
    home: Path, system: Path, text: str | None, words: str
) -> None:
    _write(home, '{"node": "fine"}')
    if text is not None:
        system.write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        _load_both(home, system)
    assert str(caught.value).replace(str(system), "").startswith(words)
    assert str(system) in str(caught.value)
    assert _load(home).system_path is None, "an empty variable ignores the file"
    with pytest.raises(ConfigurationError, match="MAESTRO_SYSTEM_CONFIG must be a full path"):
        _load(home, MAESTRO_SYSTEM_CONFIG="etc.json")


def test_a_published_password_is_a_warning_for_root_alone(home: Path, system: Path) -> None:
    system.write_text('{"password": "x", "colour": "blue"}')
    system.chmod(0o644)
    settings = _load_both(home, system)
    assert [str(warning) for warning in settings.warnings] == [
        f'{system}: "colour" is not a setting of Orchestra and is ignored.'
    ]
    [warning] = settings.root_warnings
    assert (
        warning.text == f"{system} contains a password and can be read by everybody on this machine"
    )
    assert f"chmod 640 {system}" in str(warning.remedy)
    system.chmod(0o640)
    assert _load_both(home, system).root_warnings == ()


def test_the_example_of_the_original_readme(home: Path) -> None:
    sentence, hint = _refused(home, README_EXAMPLE)
    assert sentence == "line 2, column 14: an extra quote before postgres://"
    assert hint.split("\n")[0].endswith(
        'column 83: a comma is missing after the value of "postgres"'
    )
    assert 'line 3, column 34: a comma is missing after the value of "email"' in hint
    assert 'line 4, column 34: a comma is missing after the value of "password"' in hint
    assert "db_password" not in sentence + hint
    assert "your_email_password" not in sentence + hint


def test_the_example_with_all_that_mended_is_fine(home: Path) -> None:
    text = README_EXAMPLE.replace('""postgres', '"postgres')
    lines = text.splitlines()
    _write(home, "\n".join([lines[0], *(line + "," for line in lines[1:4]), *lines[4:]]))
    settings = _load(home)
    assert settings.postgres is not None
    assert settings.job_complete_file_name == ".complete"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"email": "a"\n', "line 2, column 1: the closing brace } is missing"),
        ("{", "line 1, column 2: the closing brace } is missing"),
        ("{'email': 'a'}", "line 1, column 2: JSON has no single quotes"),
        ('{"email": “a”}', "line 1, column 11: this is a typographic quote (“)"),
        ('{"email": "a",}', "line 1, column 14: an extra comma: nothing follows it"),
        ('{"email": "a", }', "line 1, column 14: an extra comma: nothing follows it"),
        ('{"email": "a\n}', "line 1, column 13: the closing quote is missing"),
        ('{"email" "a"}', "line 1, column 10: a colon is missing before this"),
        ('{"email: "a"\n}', "line 1, column 11: the quotes of this line do not match"),
        ('{"postgres": postgres://a}', "line 1, column 14: a quote is missing before postgres://"),
        ('{"email": "a""\n}', "line 1, column 14: an extra quote at the end of this line"),
        ('{"email": ,}', "line 1, column 11: a value is missing"),
        ('{"email": "a" // mine\n}', "line 1, column 15: JSON has no comments"),
        ('# mine\n{"email": "a"}', "line 1, column 1: JSON has no comments"),
        ('{"email": "a"} x', "line 1, column 16: there is text after the closing brace"),
        ('{"volume": "\\data"}', "line 1, column 13: a backslash must be written twice"),
        ('{"other": True}', "line 1, column 11: True is written true here"),
        ('{"email": "a", "email": "b"}', '"email" occurs twice'),
        ('{"smtp_port": NaN}', "NaN is not a JSON value"),
        ('["email"]', "contains a list instead of"),
        ('"email"', "contains text instead of"),
        ("", "is empty"),
        (" \n", "is empty"),
        ('{"a": ' + "[" * 100_000, "is nested too deeply"),
        ('{"email": "é"}'.encode("latin-1"), "line 1, column 12: this character is not written in UTF-8"),
        ('{"email": "a"}'.encode("utf-16"), "is written in UTF-16"),
        (b"x" * 1_000_001, "is larger than 1 MB"),
    ],
)  # fmt: skip
def test_broken_files_are_explained(home: Path, text: str | bytes, words: str) -> None:
    assert _refused(home, text)[0].startswith(words)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"smtp_port": "many"}, '"smtp_port" must be a whole number, not other text'),
        ({"smtp_port": True}, '"smtp_port" must be a whole number, not true or false'),
        ({"smtp_port": 2.5}, '"smtp_port" must be a whole number, not a number'),
        ({"email": 7}, '"email" must be text in double quotes, not a number'),
        ({"email": ["a"]}, '"email" must be text in double quotes, not a list'),
        ({"email": "a\0"}, '"email" has a NUL character'),
        ({"smtp_tls": "ssl"}, '"smtp_tls" must be one of starttls, tls, none, not other text'),
        ({"lease": "long"}, '"lease" must be a duration like "90 s" or "12 h".'),
        ({"log_limit": "much"}, '"log_limit" must be a size like "500 kB" or "10 MB".'),
        ({"log_limit": True}, '"log_limit" must be a size, not true or false'),
        ({"lease": 0}, '"lease" must be longer than 0'),
        ({"allow_root": "perhaps"}, '"allow_root" must be on or off, not other text'),
        ({"allow_root": 2}, '"allow_root" must be on or off, not a number'),
        ({"volume": "results"}, '"volume" must be a full path that begins with / or ~'),
        ({"postgress": "x"}, '"postgress" is not a setting. Did you mean "postgres"?'),
        ({"Email": "x"}, '"Email" is not a setting. Did you mean "email"?'),
        ({"job_complete_filename": "x"}, 'Did you mean "job_complete_file_name"?'),
    ],
)
def test_wrong_values_are_explained(home: Path, settings: dict[str, object], words: str) -> None:
    sentence, _ = _refused(home, json.dumps({"node": "x", **settings}, indent=1))
    assert sentence.startswith("line 3, column 2: ")
    assert words in sentence


def test_numbers_and_durations_may_be_written_as_text(home: Path) -> None:
    _write(home, '{"smtp_port": "2525", "lease": 60, "email": null, "node": ""}')
    settings = _load(home)
    assert (settings.smtp_port, settings.lease) == (2525, 60)
    assert (settings.email, settings.node) == (None, None)


def test_a_wait_may_have_no_end_where_that_is_of_use(home: Path) -> None:
    _write(home, '{"image_fetch_timeout": 0}')
    assert _load(home).image_fetch_timeout == 0
    _write(home, '{"lease": 0}')
    with pytest.raises(ConfigurationError, match="longer than 0"):
        _load(home)


def test_a_byte_order_mark_is_fine(home: Path) -> None:
    _write(home, b'\xef\xbb\xbf{"email": "a@b.org"}')
    assert _load(home).email == "a@b.org"


def test_another_unknown_key_is_a_warning(home: Path) -> None:
    _write(home, '{"colour": "blue", "node": "x"}')
    settings = _load(home)
    assert settings.node == "x"
    assert [w for w in settings.warnings if '"colour" is not a setting' in w.text]


def test_a_variable_that_is_nearly_one_is_an_error(home: Path) -> None:
    with pytest.raises(ConfigurationError, match="Did you mean MAESTRO_POSTGRES"):
        _load(home, MAESTRO_POSTGRESS="x")
    assert _load(home, MAESTRO_DEBUG="1", MAESTRO_WHATEVER="1").postgres is None
    with pytest.raises(ConfigurationError, match='MAESTRO_SMTP_PORT: "smtp_port" must be'):
        _load(home, MAESTRO_SMTP_PORT="x")


@pytest.mark.parametrize(
    "secret",
    [
        {"password": "x"},
        {"token": "x"},
        {"postgres": "postgresql://ana:secret@db/x"},
        {"postgres": "postgresql://db/x?user=ana&password=secret"},
    ],
)
def test_a_secret_that_others_can_read_is_a_warning(home: Path, secret: dict[str, str]) -> None:
    path = _write(home, json.dumps(secret), mode=0o640)
    [warning] = _load(home).warnings
    assert warning.remedy == f"chmod 600 {path}"
    assert str(warning).endswith(f" can be read by others: chmod 600 {path}")
    path.chmod(0o600)
    assert _load(home).warnings == ()


def test_an_open_file_without_secrets_is_fine(home: Path) -> None:
    _write(home, '{"postgres": "postgresql://ana@db/x", "email": "a@b.org"}', mode=0o644)
    assert _load(home).warnings == ()


def test_a_folder_in_its_place(home: Path) -> None:
    (home / ".orchestra.json").mkdir()
    with pytest.raises(ConfigurationError, match="is a folder"):
        _load(home)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file(home: Path, system: Path) -> None:
    path = _write(home, "{}", mode=0)
    with pytest.raises(ConfigurationError, match="cannot be read: permission denied") as caught:
        _load(home)
    assert caught.value.hint == f"chmod 600 {path}, as its owner."
    path.rename(system)
    with pytest.raises(ConfigurationError, match="cannot be read: permission denied") as caught:
        _load_both(home, system)
    assert caught.value.hint is not None
    assert "administrator" in caught.value.hint


def test_a_home_that_does_not_exist(home: Path) -> None:
    assert _load(home / "nowhere").postgres is None


def test_secrets_are_not_in_the_representation() -> None:
    secrets = {setting.name for setting in SETTINGS if setting.secret}
    assert secrets == {"postgres", "password", "token", "notify_urls"}
    settings = Settings(
        postgres="hidden-1",
        password="hidden-2",
        token="hidden-3",
        notify_urls=("slack://hidden-4",),
    )
    shown = repr(settings)
    assert "hidden" not in shown


def test_the_table_describes_each_setting() -> None:
    names = [setting.name for setting in SETTINGS]
    assert len(names) == len(set(names)) >= 15
    assert all(setting.meaning and setting.kind and setting.default for setting in SETTINGS)


def _said(home: Path, environ: dict[str, str]) -> str:
    try:
        _load(home, **environ)
    except ConfigurationError as error:
        return f"{error} {error.hint}"
    return ""


SECRET = "smtp://ana:correct-horse@mail.example.org"


@pytest.mark.parametrize("name", [setting.name for setting in SETTINGS if not setting.secret])
@pytest.mark.parametrize("secret", [SECRET, "correct-horse", "9correct-horse", "/correct-horse:x"])
def test_no_error_repeats_a_value_that_may_be_a_secret(home: Path, name: str, secret: str) -> None:
    """Somebody has put their password into the wrong line, or the wrong variable."""
    _write(home, json.dumps({name: secret}))
    for environ in ({}, {f"MAESTRO_{name.upper()}": secret}):
        said = _said(home, environ)
        assert "correct-horse" not in said
        assert said or secret is not SECRET


@pytest.mark.parametrize("word", ["on", "true", "1", "True", True, 1])
def test_root_is_allowed_by_on_true_or_1(home: Path, word: object) -> None:
    _write(home, json.dumps({"allow_root": word}))
    assert _load(home).allow_root is True
    assert _load(home, MAESTRO_ALLOW_ROOT="off").allow_root is False
    assert _load(home / "nowhere", MAESTRO_ALLOW_ROOT=str(word)).allow_root is True


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("ben@x.org", ("ben@x.org",)),
        ("ben@x.org, cleo@x.org", ("ben@x.org", "cleo@x.org")),
        (" ben@x.org;cleo@x.org; ", ("ben@x.org", "cleo@x.org")),
        (["ben@x.org", " cleo@x.org", "ben@x.org"], ("ben@x.org", "cleo@x.org")),
        ("", ()),
        (None, ()),
        ([], ()),
    ],
)
def test_mail_may_go_to_several_more(home: Path, written: object, expected: object) -> None:
    _write(home, json.dumps({"to_email": written}))
    assert _load(home).to_email == expected
    if isinstance(written, str):
        assert _load(home, MAESTRO_TO_EMAIL=written).to_email == expected


@pytest.mark.parametrize("key", ["email", "from_email", "to_email"])
@pytest.mark.parametrize("value", ["ben", "ben@x.org, cleo", "Ben <ben@x.org>", "@", ["a"], 7])
def test_a_value_that_is_not_an_address_is_refused_without_repeating_it(
    home: Path, key: str, value: object
) -> None:
    message, _ = _refused(home, json.dumps({key: value}))
    assert f'"{key}" must be ' in message
    assert "ben" not in message.replace("ben@example.org", "")


ADDRESS = "postgresql://ana:secret@gauss:5433/orchestra"


def _address_file(home: Path, text: str = f"{ADDRESS}\n", mode: int = 0o600) -> Path:
    path = home / "lab.url"
    path.write_text(text)
    path.chmod(mode)
    return path


def test_the_address_can_be_in_a_file_of_its_own(home: Path) -> None:
    path = _address_file(home)
    found = _load(home, MAESTRO_POSTGRES_FILE=str(path))
    assert (found.postgres, found.origin("postgres"), found.warnings) == (ADDRESS, str(path), ())
    # Who says last where the database is says it alone.
    _write(home, json.dumps({"postgres": "postgresql://other"}))
    assert _load(home, MAESTRO_POSTGRES_FILE=str(path)).postgres == ADDRESS
    _write(home, json.dumps({"postgres_file": str(path)}))
    assert _load(home).postgres == ADDRESS
    assert _load(home, MAESTRO_POSTGRES="postgres://b").postgres == "postgres://b"
    assert _load(home, MAESTRO_POSTGRES="").postgres is None
    path.chmod(0o640)
    (warning,) = _load(home).warnings
    assert str(warning) == f"{path} contains a password and can be read by others: chmod 600 {path}"


@pytest.mark.parametrize("text", ["", "secret", f"{ADDRESS}\n{ADDRESS}", "\xff"])
def test_a_file_without_an_address_is_refused_without_repeating_it(home: Path, text: str) -> None:
    path = _address_file(home, text)
    with pytest.raises(
        ConfigurationError, match="does not contain the address of a database"
    ) as refused:
        _load(home, MAESTRO_POSTGRES_FILE=str(path))
    assert "secret" not in str(refused.value).replace(str(path), "")


def test_an_address_file_that_cannot_be_read(home: Path) -> None:
    with pytest.raises(
        ConfigurationError, match="MAESTRO_POSTGRES_FILE cannot be read: No such file"
    ):
        _load(home, MAESTRO_POSTGRES_FILE=str(home / "none.url"))
    _write(home, json.dumps({"postgres": ADDRESS, "postgres_file": str(home / "none.url")}))
    with pytest.raises(ConfigurationError, match="both set"):
        _load(home)
