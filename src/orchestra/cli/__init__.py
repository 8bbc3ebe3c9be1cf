"""The command line: `maestro NOUN VERB`, one module a noun.

How a command is registered
    `registry.py` names the module of each noun, which has `VERBS`, a tuple of `Verb`. The module is imported when its
    noun is used. Requests and rich are imported inside functions, since each costs start-up time.

        def _create_arguments(parser: Parser) -> None:
            parser.add_argument("-n", "--name", required=True, help="the user's name")

        def _create(ctx: Context) -> int | None:
            from orchestra.interface.user_changes import CreateUser

            with ctx.interface() as ask:
                user = ask(CreateUser(ctx.args.name, ctx.args.email))
            ctx.out.say(f"user {user.name} created")        # the result, on stdout
            return None                                     # or an exit status

        VERBS = (
            Verb("create", "create a user", _create, _create_arguments, example="maestro user create -n ana"),
            Verb("list", "show the users", _list, output=True, example="maestro user list -o json"),
        )

How a command asks
    `with ctx.interface() as ask:` opens what carries out requests (`orchestra/interface`) on behalf of the current
    user. Nothing here holds a connection or calls a service; the commands that have to are in `cli/local`, where
    `connection.py` opens one. `ctx.settings` is the configuration, read at first use; `ctx.args` is argparse's
    namespace.

How a command prints
    `Verb(..., output=True)` adds `-o table|json` and `-q`. Then
    `ctx.out.items(things, columns, record=to_dict, key=name_of, empty="No users yet.")` prints a list and
    `ctx.out.item(thing, lines, record=to_dict, key=name_of)` prints one thing; both follow -o and -q.
    `Column("JOBS", lambda t: str(t.jobs), right=True)` is a column of numbers; `fit` says what happens to text on a
    narrow terminal (`table.py`), and a column with `state=True` is coloured (`colour.py`).
    `ctx.out.say(text)` is for stdout, `ctx.out.note(text)` for hints on stderr. A progress line is
    `with ctx.out.progress("taking checksums", total) as progress: progress.advance()`. A question is
    `ctx.out.ask("Delete task 0?", yes=ctx.args.yes)`: no by default, refused without a terminal.
    `orchestra.domain.human` formats durations, sizes and counts.

How a command fails
    It raises a subclass of `OrchestraError`. Its advice names actions and fields (`domain/wording.py`), which the
    command line and `orchestra.Client` put into their own words; only `main.py` prints it.
"""
