"""What a page asks before it changes something."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Question:
    """A question, with what follows from a yes. `fields` names what the form has besides its button."""

    question: str
    consequences: tuple[str, ...]
    button: str
    kind: str = "primary"
    fields: tuple[str, ...] = ()
