"""The command line: `maestro NOUN VERB`, one module a noun.

How a noun registers itself
    Its module is named in `registry.py` (word, module, one line of help) and exposes `VERBS`, a tuple of
    `Verb`. The module is imported only when its noun is used; requests and rich are still imported inside functions,
    since each costs time that other verbs can do without.

        def _create_arguments(parser: Parser) -> None:
            parser.add_argument("-n", "--name", required=True, help="the user's name")

        def _create(ctx: Context) -> int | None:
            from orchestra.interface.user_changes import CreateUser

            with ctx.interface() as ask:                    # opened, checked, errors in plain words
                user = ask(CreateUser(ctx.args.name, ctx.args.email))
            ctx.out.say(f"user {user.name} created")        # stdout: what the command was asked for
            return None                                     # or an exit status

        VERBS = (
            Verb("create", "make a user", _create, _create_arguments, example="maestro user create -n ana"),
            Verb("list", "show all users", _list, output=True, example="maestro user list -o json"),
        )

How it asks
    `with ctx.interface() as ask:` gives what carries requests out (`orchestra/interface`) on behalf of the current
    user. Nothing here holds a connection or calls a service; commands that cannot do without live in `cli/local`,
    where `connection.py` gives one. `ctx.settings` is the configuration, read at first use; `ctx.args` is argparse's
    namespace.

How it prints
    `Verb(..., output=True)` adds `-o table|json` and `-q`. Then
    `ctx.out.items(things, columns, record=to_dict, key=name_of, empty="No users yet.")` prints a list and
    `ctx.out.item(thing, lines, record=to_dict, key=name_of)` prints one thing; both honour -o and -q.
    `Column("JOBS", lambda t: str(t.jobs), right=True)`; a column with `state=True` is coloured on a terminal.
    `ctx.out.say(text)` is for stdout, `ctx.out.note(text)` for hints on stderr. A progress line is
    `with ctx.out.progress("taking checksums", total) as progress: progress.advance()`. A question is
    `ctx.out.ask("Delete task 0?", yes=ctx.args.yes)`: False by default, refused off a terminal.
    Durations, sizes and counts are worded by `orchestra.domain.human`.

How it fails
    It raises a child of `OrchestraError`. What it advises names actions and fields (`domain/wording.py`), which the
    command line and `orchestra.Client` word each in its own terms; `main.py` is the one place that prints it.
"""
