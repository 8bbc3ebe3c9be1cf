"""The wording of actions and options for Python: `client.tasks.get(3).retry()`, `queue="gpu"`."""

from __future__ import annotations

import json

from orchestra import command_words
from orchestra.domain.wording import Action, Field, Sentence, Term, reworded

CALLS = {
    Action.LIST_TASKS: "client.tasks.list()",
    Action.LIST_ALL_TASKS: "client.tasks.list(all=True)",
    Action.LIST_TASKS_OF: "client.tasks.list(user={user})",
    Action.SHOW_TASK: "client.tasks.get({task}).show()",
    Action.CREATE_TASK: "help(client.tasks.create)",
    Action.CREATE_TASK_FROM: 'client.tasks.create(..., config="task:{task}")',
    Action.RELEASE_TASK: "client.tasks.get({task}).release()",
    Action.RETRY_TASK: "client.tasks.get({task}).retry()",
    Action.UPDATE_TASK: "client.tasks.get({task}).retry(update=True)",
    Action.RETRY_OR_KILL_TASK: "client.tasks.get({task}).retry() and .kill()",
    Action.LIST_JOBS: "client.tasks.get({task}).jobs()",
    Action.SHOW_JOB: "client.tasks.get({task}).job({job}).show()",
    Action.READ_LOG: "client.tasks.get({task}).job({job}).logs()",
    Action.FOLLOW_LOG: "client.tasks.get({task}).job({job}).logs()",
    Action.RETRY_JOB: "client.tasks.get({task}).job({job}).retry()",
    Action.KILL_JOB: "client.tasks.get({task}).job({job}).kill()",
    Action.LIST_ALL_DATASETS: "client.datasets.list(all=True)",
    Action.LIST_DATASETS_OF: "client.datasets.list(user={user})",
    Action.CREATE_DATASET: "client.datasets.create({name}, {path})",
    Action.UPDATE_DATASET: "client.datasets.update({name})",
    Action.LIST_NODES: "client.nodes.list()",
    Action.CREATE_NODE: "client.nodes.create(...)",
    Action.CREATE_NODE_NAMED: "client.nodes.create({name}, cpus=..., gpus=...)",
    Action.SET_NODE: "client.nodes.set({name}, ...)",
    Action.RESUME_NODE: "client.nodes.resume({name})",
    Action.STOP_NODE: "client.nodes.stop({name})",
    Action.STOP_PILOT_NOW: "client.nodes.stop({name}, now=True)",
    Action.LOSE_NODE: "client.nodes.lost({name})",
    Action.CREATE_POOL: "client.pools.create({name})",
    Action.SET_POOL: "client.pools.set({name}, ...)",
    Action.RESUME_POOL: "client.pools.resume({name})",
    Action.LIST_USERS: "client.users.list()",
    Action.CREATE_USER: "client.users.create({name}, ...)",
    Action.MAKE_ADMIN: "client.users.set({name}, admin=True)",
    Action.MAKE_TOKEN: "client.users.create_token()",
    Action.LIST_TOKENS: "client.users.tokens()",
    Action.LIST_MAILS: "client.mails.list()",
}
"""Actions without a call here are worded as shell commands."""


def worded(said: Sentence) -> str:
    """Return a sentence in Python's wording."""
    return str(reworded(said, term))


def term(part: Term) -> str:
    """Return one term in Python's wording."""
    match part:
        case Term(action=Action() as action, values=values) if action in CALLS:
            return CALLS[action].format(**{name: _literal(value) for name, value in values})
        case Term(field=Field() as field, value=None):
            return field.value
        case Term(field=Field() as field, value=value):
            return f"{field.value}={_literal(value)}"
        case _:
            return command_words.term(part)


def _literal(value: object) -> str:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)
