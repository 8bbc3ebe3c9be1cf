"""Tags in commands: which are tags, which are refused, and that a real shell reads exactly the path back."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from orchestra.command_words import hint_of
from orchestra.domain import command
from orchestra.domain.command import check, parse, tag_name
from orchestra.domain.errors import BadInput

SHELLS = [path for name in ("sh", "dash", "bash") if (path := shutil.which(name))]
# A busy machine is no reason to fail.
SLOW = [HealthCheck.too_slow]
# printf's own percent sign; the shell then prints each argument with a NUL behind it.
PRINT = r"printf '%%s\0' "

# Each prints words; the second column is what they must be for the value v.
PLACES = [
    ("%IN", "{v}"),
    ("'%IN'", "{v}"),
    ('"%IN"', "{v}"),
    ("--out=%IN/x.h5", "--out={v}/x.h5"),
    ("'--out=%IN/x.h5'", "--out={v}/x.h5"),
    ('"--out=%IN/x.h5"', "--out={v}/x.h5"),
    ('"a%IN\'b"', "a{v}'b"),
    ("'a\"%IN\"b'", 'a"{v}"b'),
    ("%IN%IN", "{v}{v}"),
    ("a'b'%IN\"c\"", "ab{v}c"),
    ('"$X%IN"', "x{v}"),
    ("$X%IN", "x{v}"),
    ("~%IN", "~{v}"),
    (r"\$%IN", "${v}"),
    (r'"\$%IN"', "${v}"),
    (r'"\\%IN"', "\\{v}"),
    (r"\\%IN", "\\{v}"),
    ("\"$(printf '%%sX' %IN)\"", "{v}X"),
    ("\"$(printf '%%sX' '%IN')\"", "{v}X"),
    ('"$(printf "%%sX" "a%IN")"', "a{v}X"),
    ('"$(printf "%%sX" "$(printf "%%sY" "%IN")")"', "{v}YX"),
    ("x=`printf '%%sX' %IN`", "{v}X"),
    ("x=`printf '%%sX' 'a%IN'`", "a{v}X"),
    ('x=`printf "%%sX" "a%IN"`', "a{v}X"),
    ('x=`printf "%%sX" "$(printf %%sY %IN)"`', "{v}YX"),
    ('x=$(printf "%%sX" "%IN")', "{v}X"),
    ('"$(case a in (b) ;; a) printf \'%%sX\' "%IN";; esac)"', "{v}X"),
    ("\"$(if :; then case a in a) printf '%%sX' %IN;; esac; fi; (echo))\"", "{v}X"),
    ('"$(: # it)s\n printf "%%sX" "%IN")"', "{v}X"),
    ('"$(printf "%%s)" "%IN")"', "{v})"),
    ('"${X:-its}%IN"', "x{v}"),
    ("${X%'}'}%IN", "x{v}"),
    ('"${X#"a}"}"%IN', "x{v}"),
    ('"$((1+(2*3)))%IN"', "7{v}"),
    ("a#%IN", "a#{v}"),
    (r"\%IN", "%IN"),
    (r"'\%IN'", "\\{v}"),
    ("%%IN%%%IN", "%IN%{v}"),
    ("%IN # %IN", "{v}"),
]
BASH_PLACES = [
    ("$'%IN'", "{v}"),
    ("$'a\\'%IN\\tb'", "a'{v}\tb"),
    ("$'\\\\%IN'", "\\{v}"),
    ('"$X"$"%IN"', "x{v}"),
]

hostile_letters = st.sampled_from(
    list(" '\"`$(){}[];&|<>!#*?~\\\n\t=,:%-_.@+^/ab1é漢\u2028\U0001f600")
)
pieces = st.sampled_from(
    [
        "'; echo pwned; '",
        '"; echo pwned; "',
        "$(echo pwned)",
        "`echo pwned`",
        "$X",
        "${X}",
        "$((1))",
    ]
) | st.sampled_from(
    [
        "\\'",
        "\\",
        "'\\''",
        "$'",
        "EOF",
        "<<EOF",
        "~",
        "-n",
        "..",
        "{a,b}",
        "/data/x.h5",
        "%IN",
        "%%",
    ]
)
values = st.one_of(
    st.lists(st.one_of(hostile_letters, pieces), max_size=12).map("".join),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20),
).flatmap(lambda text: st.sampled_from([text, "/" + text, "/data/" + text]))


def output_of(shell: str, command: str) -> list[str]:
    """The words that the command printed."""
    run = subprocess.run(
        [shell, "-c", command],
        capture_output=True,
        check=False,
        stdin=subprocess.DEVNULL,
        env={"X": "x", "HOME": "/home/wrong", "LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin"},
    )
    assert run.returncode == 0, (command, run.stderr)
    return run.stdout.decode().split("\0")[:-1]


def rendered(text: str, value: str) -> str:
    template = parse(text)
    check(template, required=("IN",) if "IN" in template.tags else ())
    return template.render({"IN": value})


def commands(places: list[tuple[str, str]], value: str) -> tuple[str, list[str]]:
    """One script that prints all places, one a line, and what it must print."""
    script = "\n".join(
        f'{typed}; {PRINT}"$x"' if typed.startswith("x=") else PRINT + typed for typed, _ in places
    )
    return rendered(script, value), [wanted.replace("{v}", value) for _, wanted in places]


@pytest.mark.parametrize("shell", SHELLS)
@settings(max_examples=150, deadline=None, suppress_health_check=SLOW)
@given(value=values)
@example("")
@example("/")
@example('/data/it\'s; rm -rf $HOME `id` "x" \\ !x *? é\n')
def test_a_shell_reads_exactly_the_value_back(shell: str, value: str) -> None:
    script, wanted = commands(PLACES, value)
    assert output_of(shell, script) == wanted


@settings(max_examples=80, deadline=None, suppress_health_check=SLOW)
@given(value=values)
@pytest.mark.needs("bash")
def test_bash_reads_exactly_the_value_back_in_its_own_quotes(value: str) -> None:
    script, wanted = commands(BASH_PLACES, value)
    assert output_of("bash", script) == wanted


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    "announced", ["<<EOF", "<<'EOF'", "<<-EOF", "<<\\EOF", '<<"EOF"', "<< 'E F'", "<<''"]
)
@settings(max_examples=40, deadline=None, suppress_health_check=SLOW)
@given(value=values.filter(lambda value: "\n" not in value and "\r" not in value))
def test_here_documents(shell: str, announced: str, value: str) -> None:
    end = announced.lstrip("<- ").strip("'\"\\")
    if value in end or value[:1] == end[:1]:
        return
    text = f"cat {announced} # it's\na %IN \\$ \"b'\n%IN\n{end}\n{PRINT}'%IN'"
    shown = subprocess.run(
        [shell, "-c", rendered(text, value)], capture_output=True, check=True
    ).stdout.decode()
    dollar = "$" if announced.startswith(("<<EOF", "<<-")) else "\\$"
    body, _, last = shown.partition("\0")[0].rpartition("\n")
    wanted = f"a {value} {dollar} \"b'\n{value}"
    if announced.startswith("<<-"):
        wanted = "\n".join(line.lstrip("\t") for line in wanted.split("\n"))
    # The last word is the value printed by the command behind the here-document.
    assert (body, last) == (wanted, value)


@pytest.mark.parametrize("value", ["a\nEOF\necho pwned", "EOF", "O", "", "Eé"])
def test_a_value_that_would_end_a_here_document_is_refused(value: str) -> None:
    with pytest.raises(BadInput, match="here-document"):
        rendered("cat <<EOF\n%IN\nEOF", value)


@pytest.mark.parametrize(
    "text",
    [
        ". /setup_envs.sh && python3 /job_tuning.py",
        "source ./env.sh; python3 x.py | tee log > /dev/null 2>&1 &",
        "echo $(date +%F) `date +%H:%M:%S` $(date +%Y%m%dT%H%M%S)",
        'x=a.b.c; echo ${x%.*} ${x%%.*} ${x#*.} ${x##*.} ${x/%TXT/y} "${x%%.*}"',
        "awk '{print $1 \"%\" }' # it's a comment with %IN and `",
        "((a=5%3)); echo $((7 %TWO)) $((1<<4))",
        "cat <<'EOF' | sh\nit's \"half\n$(\nEOF\necho done",
        "case $x in a) echo ')';; (b) echo '(';; esac; echo \"$(case $x in a) :;; esac)\"",
        "printf 'a\\nb' | while read -r l; do echo \"$l\" '#'$l $#; done",
        "echo \\' \\\" \\` \"it's\" '\"' $'it\\'s'",
        "trap 'echo \"bye\"' EXIT; set -e\nfalse || true \\\n  && :",
        "é=1 \t\r \n  %s %5d 100% \\%IN",
    ],
)
def test_text_without_tags_stays_byte_for_byte(text: str) -> None:
    template = parse(text)
    check(template, required=())
    assert template.tags == ()
    assert template.render({"IN": "/never"}) == text


@settings(max_examples=300, deadline=None, suppress_health_check=SLOW)
@given(st.lists(st.one_of(hostile_letters, pieces, st.just("<<EOF\n")), max_size=25).map("".join))
def test_any_text_can_be_parsed_and_keeps_its_text(text: str) -> None:
    if not text.strip():
        return
    template = parse(text)
    parts = [part if isinstance(part, str) else f"%{part.name}" for part in template.scan.parts]
    assert "".join(parts).replace("%", "") == text.replace("%", "")


def test_the_display_of_ordinary_paths_has_no_needless_quotes() -> None:
    template = parse("python3 train.py -d %DATA -c '%IN' -o \"%OUT\"")
    check(template)
    shown = template.render({"DATA": "/data/digits.npz", "IN": "/a b/h.json", "OUT": "/my out/1"})
    assert shown == "python3 train.py -d /data/digits.npz -c '/a b/h.json' -o \"/my out/1\""


def test_tags_are_listed_once_in_order() -> None:
    assert parse("x %OUT '%IN' %OUT %REF_2").tags == ("OUT", "IN", "REF_2")


def error_of(text: str, known: tuple[str, ...] = ("DATA", "IN", "OUT", "REF")) -> BadInput:
    with pytest.raises(BadInput) as caught:
        check(parse(text), known)
    return caught.value


def test_without_a_data_set_the_command_has_no_data() -> None:
    required = command.required(with_data=False)
    check(parse("run %IN %OUT ${file%DATA}"), required, required)
    with pytest.raises(BadInput, match=r"has %DATA, but no data set was named for it\.$") as caught:
        check(parse("run %IN %OUT %DATA"), required, required)
    assert hint_of(caught.value) == "-d names one; without one, leave %DATA out of the command."
    with pytest.raises(BadInput, match="has no %OUT"):
        check(parse("run %IN"), required, required)


def test_a_missing_tag_is_reported_with_a_corrected_command() -> None:
    error = error_of("run -d %DATA -c %IN")
    assert str(error) == "the command has no %OUT, so its jobs would not know where to write."
    assert error.hint == "For example: run -d %DATA -c %IN -o %OUT"


def test_several_missing_tags_are_reported_at_once() -> None:
    assert str(error_of("run")) == "the command has no %DATA, no %IN and no %OUT."
    assert str(error_of("run %DATA # %IN")) == "the command has no %IN and no %OUT."


def test_a_command_of_several_parts_gets_no_false_correction() -> None:
    error = error_of("run -d %DATA -c %IN && after")
    assert error.hint == "Add it where the program takes it, for example -o %OUT."


@pytest.mark.parametrize(
    ("tag", "guess"),
    [
        ("IN_DIR", "%IN"),
        ("INPUT", "%IN"),
        ("OUTPUT", "%OUT"),
        ("DTA", "%DATA"),
        ("REFS", "%REF"),
        ("OUTx", "%OUT"),
    ],
)
def test_an_unknown_tag_is_named_with_the_nearest_one(tag: str, guess: str) -> None:
    error = error_of(f"run %DATA %IN %OUT %{tag}")
    assert str(error) == f"the command has the unknown tag %{tag}."
    assert error.hint is not None
    assert f"Did you mean {guess}?" in error.hint
    assert f"To write the text %{tag}, type %%{tag}." in error.hint


def test_a_date_format_that_looks_like_a_tag_is_explained() -> None:
    error = error_of("run %DATA %IN %OUT $(date +%FT%T)")
    assert error.hint == (
        "Known tags: %DATA, %IN, %OUT and %REF. To write the text %FT, type %%FT."
    )
    check(parse("run %DATA %IN %OUT $(date +%%FT%T)"))


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ('"${X:-%IN}"', "inside ${...}"),
        ("${X:-$(cat %IN)}", "inside ${...}"),
        ("$((%IN + 1))", "inside ((...))"),
        ("((x = %IN))", "inside ((...))"),
        ("$%IN", "right after a $"),
        ('"$%IN"', "right after a $"),
        ("`cat \\`ls\\` %IN`", "in backticks with a backslash"),
        ('"`cat %IN`"', "in backticks inside double quotes"),
        ("cat <<EOF\n$(cat %IN)\nEOF", "in a substitution inside a here-document"),
        ("cat <<EOF\n`cat %IN`\nEOF", "in a substitution inside a here-document"),
        ("cat <<EOF\n$X%IN\nEOF", "right after a variable"),
        ('echo "${X:-it\'s}" %IN', 'after a single quote in "${...}"'),
        ("echo \"${X%'}'}\" %IN", 'after a single quote in "${...}"'),
    ],
)
def test_a_tag_where_no_writing_is_safe_is_refused(text: str, where: str) -> None:
    error = error_of(f"run %DATA %IN %OUT; {text}")
    assert str(error) == f"%IN is {where}, where no path can be written safely."
    assert error.hint


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("echo it's %IN", "the single quote at character 8"),
        ('echo "it %IN', "the double quote at character 6"),
        ("echo `it %IN", "the backtick at character 6"),
        ("echo $(it %IN", "the bracket at character 7"),
        ("echo ${it %IN", "the ${ at character 6"),
        ("echo $((1+2) %IN", "the bracket at character 6"),
    ],
)
def test_a_quote_that_is_never_closed_is_refused(text: str, what: str) -> None:
    assert str(error_of(text)) == f"{what} of the command is never closed."


@pytest.mark.parametrize("text", ["", "  \n", "a\0b", "caf\udce9", "x" * 70_000])
def test_commands_that_no_shell_can_be_given_are_refused(text: str) -> None:
    with pytest.raises(BadInput):
        parse(text)


@pytest.mark.parametrize("values", [{}, {"IN": "/a\0b"}])
def test_values_that_cannot_be_written_are_refused(values: dict[str, str]) -> None:
    with pytest.raises(BadInput, match="%IN"):
        parse("echo %IN").render(values)


@pytest.mark.parametrize("text", ["%REF", "REF", "%REF_2", "R2"])
def test_tags_that_users_make_up(text: str) -> None:
    assert tag_name(text) == text.removeprefix("%")


@pytest.mark.parametrize(
    "text", ["%ref", "%R", "", "%", "%2A", "%RÉF", "%IN", "OUT", "%RE F", "%REF\n"]
)
def test_invalid_tags(text: str) -> None:
    with pytest.raises(BadInput):
        tag_name(text)


def test_line_ends_of_dos_become_those_of_unix() -> None:
    template = parse("cat %IN > %OUT/a.txt\r\nls %DATA\r\n\r")
    assert template.text == "cat %IN > %OUT/a.txt\nls %DATA\n"
    assert parse("printf 'a\rb' %IN").text == "printf 'a\rb' %IN"
    with pytest.raises(BadInput, match="is empty"):
        parse("\r\n")


@pytest.mark.parametrize("variable", ["$IN", "${IN}"])
def test_a_shell_variable_is_not_a_tag(variable: str) -> None:
    error = error_of(f"run -d %DATA -c {variable} -o %OUT")
    assert str(error) == "the command has no %IN, so all of its jobs would do the same."
    assert error.hint == f"{variable} is a shell variable; the tag is written %IN."
    assert "variable" not in str(error_of("run -d %DATA -c $INPUT -o %OUT").hint)
