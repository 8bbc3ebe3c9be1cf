"""`maestro task clone`."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from orchestra.cli.task_create import make
from orchestra.cli.task_options import common_arguments, new_task

if TYPE_CHECKING:
    from orchestra.cli.context import Context
    from orchestra.cli.parser import Parser
    from orchestra.domain.models.new_tasks import NewTask
    from orchestra.interface.operation import Interface

_NO_CHANGES = frozenset({"dry_run", "reuse"})
"""Options that say how a task is created, not what it is."""


def clone_arguments(parser: Parser) -> None:
    """Add the arguments of `task clone`: all options of `task create`, none with a default."""
    parser.add_argument("old", metavar="TASK", help="number or name of the task to copy")
    parser.add_argument(
        *("-t", "--name", "--task"),
        dest="name",
        metavar="NAME",
        help="name of the new task (default: that of the old one with the next free number)",
    )
    parser.add_argument(
        *("-c", "--configFile"),
        dest="config",
        metavar="DATASET",
        help="other configs: a data set, or task:NAME",
    )
    parser.set_defaults(defaults=_without_defaults(parser, common_arguments))


def _without_defaults(parser: Parser, add: Callable[[Parser], None]) -> dict[str, Any]:
    """Add arguments that leave no trace unless they are given, and return their defaults by name."""
    first = len(parser._actions)
    add(parser)
    defaults = {}
    for action in parser._actions[first:]:
        if action.dest in _NO_CHANGES:
            continue
        defaults[action.dest] = action.default
        action.default, action.required = argparse.SUPPRESS, False
    return defaults


def clone(ctx: Context) -> None:
    """Create a task with the settings of another one."""
    make(ctx, lambda ask: _request(ctx, ask))


def _request(ctx: Context, ask: Interface) -> NewTask:
    from orchestra.domain import cloning
    from orchestra.files import local_machine, origin
    from orchestra.interface.new_tasks import SettingsOf
    from orchestra.wiring.identity import host_name

    args = ctx.args
    old = ask(SettingsOf(ctx.names.task(args.old), args.name))
    given = {option for option in args.defaults if option in args}
    if args.config is not None:
        given.add("config")
    if not old.volume:
        given.add("volume")
    required = {"exec": old.command, "data": old.data, "queue": old.queue.value}
    for option, default in {**args.defaults, **required}.items():
        if option not in args:
            setattr(args, option, default)
    args.name = old.name
    new = new_task(ctx, ctx.names.config(args.config or old.config))
    return replace(
        cloning.changed(old, new, given),
        origin=origin.again(old.origin, os.environ) if old.origin and "exec" not in given else None,
        account=local_machine.account(),
        host=host_name(),
        reuse=new.reuse,
    )
