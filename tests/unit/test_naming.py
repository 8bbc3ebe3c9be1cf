"""Names, addresses and quantities as people type them."""

from __future__ import annotations

import re
from email.headerregistry import Address
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra.domain import job_address, naming, quantities, variables
from orchestra.domain.errors import BadInput
from orchestra.domain.job_address import JobAddress
from orchestra.domain.models.tasks import Limit
from orchestra.domain.naming import OwnedName


@pytest.mark.parametrize(
    ("text", "username", "name"),
    [
        ("user.jodafons.my_configs_files", "jodafons", "my_configs_files"),
        ("user.ana.grid.v2-final+1", "ana", "grid.v2-final+1"),
        ("user.a_b.X", "a_b", "X"),
    ],
)
def test_names(text: str, username: str, name: str) -> None:
    assert naming.parse_name(text) == OwnedName(username, name)
    assert str(naming.parse_name(text)) == text
    assert naming.parse_name(text, username=username) == OwnedName(username, name)


def test_a_username_with_a_dot_is_found_when_it_is_given() -> None:
    assert naming.parse_name("user.ana.silva.grid", username="ana.silva") == OwnedName(
        "ana.silva", "grid"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("grid", '"grid" is not of the form user.<username>.<name>.'),
        ("", '"" is not of the form user.<username>.<name>.'),
        ("user.ana", '"user.ana" is not of the form user.<username>.<name>.'),
        ("user.ana.", '"user.ana." is not of the form user.<username>.<name>.'),
        ("user..grid", '"user..grid" is not of the form user.<username>.<name>.'),
        ("group.ana.grid", '"group.ana.grid" is not of the form user.<username>.<name>.'),
        ("user.ana.a b", "\"user.ana.a b\" has the character ' '."),
        ("user.ana.a/b", "\"user.ana.a/b\" has the character '/'."),
        ("user.ana.é", "\"user.ana.é\" has the character 'é'."),
        ("user.ana.a\nb", "\"user.ana.a\\nb\" has the character '\\n'."),
        ("user.ana..a", '"user.ana..a" has a dot at the start of its name.'),
        ("user.a b.grid", '"a b" cannot be a user name.'),
    ],
)
def test_other_names_get_one_sentence(text: str, message: str) -> None:
    with pytest.raises(BadInput, match=f"^{re.escape(message)}$") as caught:
        naming.parse_name(text)
    assert caught.value.hint


@pytest.mark.parametrize("text", ["grid", "user", "2024-a", "v2+1"])
def test_ones_own_name_without_a_dot_is_short_for_the_full_one(text: str) -> None:
    assert str(naming.parse_name(text, username="ana")) == f"user.ana.{text}"


@pytest.mark.parametrize(
    ("text", "username", "full"),
    [
        ("ana.t", "ana", "user.ana.t"),
        ("v1.2", "ana", "user.ana.v1.2"),
        ("ana.silva.t", "ana.silva", "user.ana.silva.t"),
    ],
)
def test_a_short_name_with_a_dot_is_refused(text: str, username: str, full: str) -> None:
    with pytest.raises(BadInput, match=f'^"{text}" is not of the form user') as caught:
        naming.parse_name(text, username=username)
    assert caught.value.hint == f"For example {full}; a name without a dot needs no prefix."


def test_names_of_others_and_endless_names_are_refused() -> None:
    with pytest.raises(BadInput, match="longer than 200 characters"):
        naming.parse_name("x" * 192, username="ana")
    with pytest.raises(BadInput, match='belongs to user "bob", but you are "ana"'):
        naming.parse_name("user.bob.grid", username="ana")
    with pytest.raises(BadInput, match="no name after the last dot"):
        naming.parse_name("user.ana.", username="ana")
    with pytest.raises(BadInput, match="longer than 200 characters"):
        naming.parse_name("user.ana." + "x" * 200)


@pytest.mark.parametrize("text", ["caloba21", "node-1.lps.ufrj.br", "ana_b", "1node", "x" * 64])
def test_nodes_and_users(text: str) -> None:
    assert naming.check_node_name(text) == text
    assert naming.check_user_name(text) == text


@pytest.mark.parametrize("text", ["", "-x", ".x", "a b", "a/b", "é", "x\n", "x" * 300])
def test_invalid_names_of_nodes_and_users(text: str) -> None:
    with pytest.raises(BadInput, match="cannot be a node name"):
        naming.check_node_name(text)
    with pytest.raises(BadInput, match="cannot be a user name"):
        naming.check_user_name(text)


@pytest.mark.parametrize("text", ["ana@example.org", "root@localhost", "a.b+c@x-y.br", "é@é.br"])
def test_addresses(text: str) -> None:
    assert naming.check_email(text) == text


@pytest.mark.parametrize(
    "text", ["", "ana", "@x.org", "ana@", "a b@x.org", "a@x\n", "<a@x.org>", "a@b, c@d", "a@.x", "a@x..org",
     "a..b@x.org", ".a@x.org", "a.@x.org", "a@b@x.org", "a\\b@x.org", "ana <a@x.org>"]
)  # fmt: skip
def test_invalid_addresses(text: str) -> None:
    with pytest.raises(BadInput, match=r"is not an e-mail address\.$"):
        naming.check_email(text)


@given(st.text("ab.@\"\\ ,;:<>()[]é!'-", max_size=12))
def test_an_address_reaches_a_mail_server_unchanged(text: str) -> None:
    try:
        local, _, domain = naming.check_email(text).partition("@")
    except BadInput:
        return
    assert Address("", local, domain).addr_spec == text


@pytest.mark.parametrize(
    ("text", "task", "jobs", "canonical"),
    [
        ("3/17", 3, [17], "3/17"),
        ("0/0", 0, [0], "0/0"),
        ("3/0-9", 3, list(range(10)), "3/0-9"),
        ("3/1,4,7-9", 3, [1, 4, 7, 8, 9], "3/1,4,7-9"),
        ("3/9,7-8, 1,1-2", 3, [1, 2, 7, 8, 9], "3/1-2,7-9"),
        ("user.ana.mlp/17", "user.ana.mlp", [17], "user.ana.mlp/17"),
        ("03/007", 3, [7], "3/7"),
    ],
)
def test_job_addresses(text: str, task: int | str, jobs: list[int], canonical: str) -> None:
    address = job_address.parse_job_address(text)
    assert address.task == task
    assert list(address) == jobs
    assert len(address) == len(jobs)
    assert str(address) == canonical
    assert all(job in address for job in jobs)
    assert max(jobs) + 1 not in address
    assert address.single == (jobs[0] if len(jobs) == 1 else None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("3", '"3" does not name a job.'),
        ("3/", '"3/" does not name a job.'),
        ("/3", '"/3" does not name a job.'),
        ("3/a", '"a" in "3/a" is not a job number.'),
        ("3/1,,2", '"" in "3/1,,2" is not a job number.'),
        ("3/-1", '"-1" in "3/-1" is not a job number.'),
        ("3/٣", '"٣" in "3/٣" is not a job number.'),
        ("3/9-0", '"9-0" in "3/9-0" is in reverse order.'),
        ("3/99999999999", '"3/99999999999" has a number greater than 2147483647.'),
        ("3/" + "9" * 5000, f'"3/{"9" * 75}..." has a number greater than 2147483647.'),
        (
            "-1/3",
            '"-1" is neither the number of a task nor a name of the form user.<username>.<name>.',
        ),
    ],
)
def test_what_names_no_job(text: str, message: str) -> None:
    with pytest.raises(BadInput, match=f"^{re.escape(message)}$"):
        job_address.parse_job_address(text)


def test_one_job_is_not_several() -> None:
    assert job_address.parse_one_job("3/4") == JobAddress(3, (range(4, 5),))
    with pytest.raises(BadInput, match=r'"3/0-9" names 10 jobs, but only one is possible here\.'):
        job_address.parse_one_job("3/0-9")


@given(st.lists(st.integers(0, 60), min_size=1, max_size=30))
def test_addresses_are_sets_of_numbers(jobs: list[int]) -> None:
    address = job_address.parse_job_address("7/" + ",".join(map(str, jobs)))
    assert list(address) == sorted(set(jobs))
    assert job_address.parse_job_address(str(address)) == address


def test_natural_order() -> None:
    wanted = ["a", "job.01", "job.1", "job.2", "job.2b", "job.10", "job.10.3", "job.10.12", "job.x"]
    assert sorted(set(wanted), key=naming.natural_key) == wanted
    long = ["v" + "9" * 19, "v" + "9" * 21, "v1" + "0" * 21]
    assert sorted(set(long), key=naming.natural_key) == long


@given(st.integers(0, 10**40), st.integers(0, 10**40))
def test_natural_order_is_that_of_the_numbers(first: int, second: int) -> None:
    less = naming.natural_key(f"job.{first}.json") < naming.natural_key(f"job.{second}.json")
    assert less == (first < second)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30s", 30), ("10m", 600), ("2h", 7200), ("1d12h", 129600), ("90", 90), ("1.5 h", 5400), ("0", 0),
        ("2 min 5 sec", 125), ("1 day", 86400), ("3 WEEKS", 1814400), ("0.5s", 0.5), ("2 hours", 7200),
    ],
)  # fmt: skip
def test_durations(text: str, seconds: float) -> None:
    assert quantities.parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "s", "-5s", "5x", "5 6", "h5", "1e3", "nan", "5h6", "٣s", "5 months", "1:30"]
)
def test_invalid_durations(text: str) -> None:
    with pytest.raises(BadInput, match=r"is not a duration\.$"):
        quantities.parse_duration(text)


def test_a_duration_beyond_reason() -> None:
    with pytest.raises(BadInput, match="100 years"):
        quantities.parse_duration("9" * 400)


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("3", Limit(count=3)),
        ("5%", Limit(percent=5)),
        ("2.5 %", Limit(percent=2.5)),
        ("100%", Limit(percent=100)),
    ],
)
def test_limits(text: str, limit: Limit) -> None:
    assert quantities.parse_limit(text) == limit


@pytest.mark.parametrize("text", ["", "%", "x", "-1", "0", "0%", "101%", "1.5", "5%%", "9" * 20])
def test_invalid_limits(text: str) -> None:
    with pytest.raises(BadInput):
        quantities.parse_limit(text)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("812", 812),
        ("4.1 kB", 4100),
        ("512M", 512_000_000),
        ("2GiB", 2**31),
        ("1.5t", 1_500_000_000_000),
        ("7 b", 7),
    ],
)
def test_sizes(text: str, size: int) -> None:
    assert quantities.parse_size(text) == size


@pytest.mark.parametrize("text", ["", "x", "-1", "1 XB", "1i", "1iB", "99999999999T"])
def test_invalid_sizes(text: str) -> None:
    with pytest.raises(BadInput):
        quantities.parse_size(text)


def test_variables() -> None:
    assert variables.parse_variable("A=1=2 $x\n'") == ("A", "1=2 $x\n'")
    assert variables.parse_variable("_A9=") == ("_A9", "")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("A", 'has no "="'),
        ("=1", "is not a valid name"),
        ("9A=1", "is not a valid name"),
        ("A B=1", "is not a valid name"),
        ("É=1", "is not a valid name"),
        ("ORCHESTRA_JOB=1", "is set by Orchestra"),
        ("CUDA_VISIBLE_DEVICES=0", "is set by Orchestra"),
        ("A=\0", "the value of A has a NUL character"),
        ("A=\udce9", "is not valid UTF-8 text"),
    ],
)
def test_invalid_variables(text: str, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        variables.parse_variable(text)


@pytest.mark.parametrize(
    ("name", "following"),
    [
        ("user.ana.fit", ["user.ana.fit-2", "user.ana.fit-3"]),
        ("user.ana.fit-2", ["user.ana.fit-3", "user.ana.fit-4"]),
        ("user.ana.fit-09", ["user.ana.fit-09-2", "user.ana.fit-09-3"]),
        ("user.ana.-2", ["user.ana.-3", "user.ana.-4"]),
        ("user.ana.fit-" + "9" * 30, ["user.ana.fit-" + "9" * 30 + "-2"]),
    ],
)
def test_names_count_on(name: str, following: list[str]) -> None:
    assert list(islice(naming.numbered(name), 1 + len(following))) == [name, *following]


def test_a_name_of_the_greatest_length_counts_on_within_it() -> None:
    longest = "user.ana." + "x" * (naming.MAX_NAME - 9)
    _, second, third = islice(naming.numbered(longest), 3)
    assert naming.parse_name(second) != naming.parse_name(third)


@given(st.floats(0.001, 10**8), st.integers(1, 10**9))
def test_quantities_are_typed_as_they_are_read(seconds: float, number: int) -> None:
    for each in (round(seconds, 6), float(number)):
        assert quantities.parse_duration(quantities.typed_duration(each)) == pytest.approx(
            each, abs=1e-9
        )
    for size in (number, number * 10**6, number * 2**20):
        assert quantities.parse_size(quantities.typed_size(size)) == size
    for limit in (Limit(count=number % 1000 + 1), Limit(percent=number % 100 + 0.5)):
        assert quantities.parse_limit(quantities.typed_limit(limit)) == limit


@pytest.mark.parametrize(
    ("seconds", "typed"), [(7200, "2h"), (5400, "90m"), (1.5, "1.5s"), (86400, "1d")]
)
def test_durations_are_typed_shortly(seconds: float, typed: str) -> None:
    assert quantities.typed_duration(seconds) == typed
    assert [quantities.typed_size(n) for n in (4 * 10**9, 2**31, 1234)] == ["4G", "2GiB", "1234"]
