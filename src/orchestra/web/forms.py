"""What a form or an address has sent, as text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl

from orchestra.api.call import Call
from orchestra.domain.errors import BadInput, OrchestraError
from orchestra.domain.wording import Term

FIELDS_AT_MOST = 1000


@dataclass(frozen=True, slots=True)
class Form:
    """The values of each field. Line ends are newlines, whatever the browser sends."""

    values: Mapping[str, tuple[str, ...]]

    @classmethod
    def of(cls, pairs: Iterable[tuple[str, str]]) -> Form:
        """Make one of pairs of names and values."""
        values: dict[str, tuple[str, ...]] = {}
        for name, value in pairs:
            text = value.replace("\r\n", "\n").replace("\r", "\n")
            values[name] = (*values.get(name, ()), text)
        return cls(values)

    def __contains__(self, name: str) -> bool:
        return name in self.values

    def text(self, name: str, default: str = "") -> str:
        """The first value of a field, without blanks around it."""
        return self.values.get(name, (default,))[0].strip()

    def all(self, name: str) -> tuple[str, ...]:
        """All values of a field that are not blank."""
        return tuple(filter(None, (value.strip() for value in self.values.get(name, ()))))

    def ticked(self, name: str) -> bool:
        """Whether a checkbox is ticked."""
        return bool(self.text(name))


def posted(call: Call) -> Form:
    """Return what a form has sent.

    Raises:
        BadInput: it is not a form.
    """
    kind = call.request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if call.body and kind != "application/x-www-form-urlencoded":
        raise BadInput("this address takes a form.")
    try:
        text = call.body.decode("ascii")
        return Form.of(
            parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=FIELDS_AT_MOST)
        )
    except ValueError:
        raise BadInput("this form cannot be read: its text is not UTF-8.") from None


def asked(call: Call) -> Form:
    """Return what the query of an address says."""
    return Form.of(call.request.query_params.multi_items())


def number(form: Form, name: str, default: int, *, least: int = 0) -> int:
    """Return a whole number of an address, such as where a page of a list begins.

    Raises:
        BadInput: it is none.
    """
    text = form.text(name)
    if not text:
        return default
    if not text.isascii() or not text.isdecimal() or len(text) > 9 or int(text) < least:
        raise BadInput(f'"{name}" in the address needs a whole number of at least {least}.')
    return int(text)


def field_of(error: OrchestraError) -> str | None:
    """Return the name of the field that an error is about, if it says."""
    named = error.params.get("field")
    if isinstance(named, str):
        return named
    parts = () if isinstance(error.message, str) else error.message.parts
    return next((part.field.value for part in parts if isinstance(part, Term) and part.field), None)
