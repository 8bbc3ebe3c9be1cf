"""Conditions on rows of results: `lr < 0.1 and width == 64`. Pure; nothing is evaluated.

    condition   any of several:  a or b          all of several:  a and b         not a         ( a )
    comparison  NAME < 3         0.1 < NAME <= 1          NAME == "text"          NAME != OTHER
                NAME in (1, 2)   NAME not in ("a", "b")   NAME ~ "part"           NAME (is true)

Operators are < <= > >= == != and ~ ("contains", of the value as text); `=` means `==`. Values are numbers, `inf`,
`nan`, texts in quotes, `true`, `false` and `null`. A name is that of a column. One with spaces or other characters, or
that is a word of this grammar, is in backquotes; on the left of a comparison it can be in quotes as well.

What a comparison means:

- A missing value meets none, not even `!=`; only `== null` holds for it, and `!= null` for all others.
- Numbers are compared with numbers. A text that is a number (YAML reads `1e-3` as text) counts as one beside a number.
- Texts are compared with texts, by code points. A list counts as its JSON text, `[64,64]`.
- Values of other kinds differ: `!=` holds for them, and `<` and `>` do not. `true` is not 1.
- NaN is only equal to NaN, and neither less nor greater than anything.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from orchestra.domain.errors import BadInput
from orchestra.domain.flat_values import as_text
from orchestra.domain.human import one_line
from orchestra.domain.results import Row, Table
from orchestra.domain.wording import Field, words

LONGEST = 4_000
"""Characters of a condition."""
DEEPEST = 50
"""Levels of parentheses and `not`."""

_NUMBER = r"[-+]?(?:[0-9]++(?:\.[0-9]*+)?|\.[0-9]++)(?:[eE][-+]?[0-9]++)?"
_TOKEN = re.compile(
    rf"""(?P<number>(?:{_NUMBER}|[-+]inf\b)(?![\w.]))
    | (?P<name>[^\W\d][\w./@:\#$%+-]*+)
    | `(?P<column>[^`]++)`
    | (?P<text>"(?:[^"\\]|\\.)*+"|'(?:[^'\\]|\\.)*+')
    | (?P<sign><=|>=|==|!=|<>|&&|\|\||[<>=~()\[\],!&|])""",
    re.VERBOSE,
)
_NUMBER_TEXT = re.compile(rf"\s*+(?:{_NUMBER})\s*+")
_LONGEST_NUMBER = 100
_SIGNS = {"=": "==", "<>": "!=", "&&": "and", "&": "and", "||": "or", "|": "or", "!": "not"}
_CONSTANTS = {
    "true": True, "false": False, "null": None, "none": None, "nan": math.nan, "inf": math.inf,
}  # fmt: skip
_WORDS = ("and", "or", "not", "in")
_ORDERS: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip
_COMPARISONS = (*_ORDERS, "==", "!=", "~")

Predicate = Callable[[Row], bool]


@dataclass(frozen=True, slots=True)
class Name:
    """The value of a column. `at` is where it was written, from 1; on the left of a comparison no text can stand."""

    text: str
    at: int
    leftmost: bool = True


@dataclass(frozen=True, slots=True)
class Constant:
    value: Any


Operand = Name | Constant


@dataclass(frozen=True, slots=True)
class Comparison:
    left: Operand
    sign: str
    right: Operand


@dataclass(frozen=True, slots=True)
class Every:
    """All parts hold."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Some:
    """At least one part holds."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Not:
    part: Condition


Condition = Comparison | Every | Some | Not


def matching(table: Table, condition: Condition) -> Table:
    """Return the rows for which a condition holds.

    Raises:
        BadInput: it names a column that the table does not have. A table without rows has none, and is returned.
    """
    if not table.rows:
        return table
    holds = _bound(condition, table)
    return Table(tuple(filter(holds, table.rows)), table.columns)


def parse(text: str) -> Condition:
    """Parse a condition.

    Raises:
        BadInput: it is not one; the sentence says at which column, counted from 1.
    """
    if len(text) > LONGEST:
        raise BadInput(words(Field.WHERE, f" is longer than {LONGEST:,} characters."))
    return _Parser(list(_tokens(text))).parse()


def equal_to(values: Iterable[tuple[str, Any]]) -> str | None:
    """Return the condition that columns have these values; None if it cannot be written."""
    parts = []
    for name, value in values:
        written = _written(value)
        if written is None or "`" in name or not name:
            return None
        parts.append(f"`{name}` == {written}")
    condition = " and ".join(parts)
    return condition if len(condition) <= LONGEST else None


def _written(value: Any) -> str | None:
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    if isinstance(value, int | float):
        return str(value) if len(str(value)) <= _LONGEST_NUMBER else None
    text = as_text(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'


@dataclass(frozen=True, slots=True)
class _Token:
    """A piece of a condition. `kind` is "name", "column", "text", "number", "sign", "word" or "end"."""

    kind: str
    text: str
    at: int

    def __str__(self) -> str:
        return "the end" if self.kind == "end" else f'"{one_line(self.text, 40)}"'


def _tokens(text: str) -> Iterator[_Token]:
    at = 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        found = _TOKEN.match(text, at)
        if found is None:
            if text[at] in "\"'`":
                raise _wrong(at + 1, f"the quote {text[at]} is not closed.")
            raise _wrong(at + 1, f'"{one_line(text[at : at + 20])}" is not understood.')
        kind, piece = found.lastgroup or "", found[found.lastgroup or 0]
        if kind == "sign":
            piece = _SIGNS.get(piece, piece)
        if (kind == "name" and piece.lower() in _WORDS) or (kind == "sign" and piece in _WORDS):
            kind, piece = "word", piece.lower()
        yield _Token(kind, piece, at + 1)
        at = found.end()
    yield _Token("end", "", len(text) + 1)


def _wrong(at: int, what: str, hint: str | None = None) -> BadInput:
    return BadInput(words(Field.WHERE, f", column {at}: {what}"), hint=hint)


class _Parser:
    """Recursive descent, one method a rule of the grammar."""

    def __init__(self, tokens: list[_Token]) -> None:
        self._tokens = tokens
        self._place = 0
        self._depth = 0

    def parse(self) -> Condition:
        found = self._either()
        if self._next.kind != "end":
            raise self._expected('"and", "or" or the end')
        return found

    def _either(self) -> Condition:
        parts = [self._all()]
        while self._take("or"):
            parts.append(self._all())
        return parts[0] if len(parts) == 1 else Some(tuple(parts))

    def _all(self) -> Condition:
        parts = [self._one()]
        while self._take("and"):
            parts.append(self._one())
        return parts[0] if len(parts) == 1 else Every(tuple(parts))

    def _one(self) -> Condition:
        self._depth += 1
        if self._depth > DEEPEST:
            raise _wrong(self._next.at, f"it is nested more than {DEEPEST} levels deep.")
        if self._take("not"):
            found: Condition = Not(self._one())
        elif self._take("("):
            found = self._either()
            self._need(")")
        else:
            found = self._comparison()
        self._depth -= 1
        return found

    def _comparison(self) -> Condition:
        left = self._operand(leftmost=True)
        negated = self._next.text == "not" and self._peek(1).text == "in" and self._take("not")
        if self._take("in"):
            among = Some(tuple(Comparison(left, "==", each) for each in self._list()))
            # A missing value is in no list, and outside of none.
            return Every((_is_there(left), Not(among))) if negated else among
        operands, signs = [left], []
        while self._next.kind == "sign" and self._next.text in _COMPARISONS:
            signs.append(self._advance().text)
            operands.append(self._operand())
        if not signs:
            return self._alone(left)
        parts = [
            Comparison(one, sign, other)
            for (one, other), sign in zip(pairwise(operands), signs, strict=True)
        ]
        return parts[0] if len(parts) == 1 else Every(tuple(parts))

    def _alone(self, operand: Operand) -> Condition:
        if isinstance(operand, Constant) and not isinstance(operand.value, bool):
            raise self._expected("a comparison")
        return Comparison(operand, "==", Constant(True))

    def _list(self) -> list[Operand]:
        closing = ")" if self._take("(") else "]" if self._take("[") else None
        if closing is None:
            raise self._expected("values in parentheses, as in (1, 2),")
        values = [self._operand()]
        while self._take(","):
            if self._next.text == closing:
                break
            values.append(self._operand())
        self._need(closing)
        return values

    def _operand(self, *, leftmost: bool = False) -> Operand:
        token = self._next
        value = token.text
        match token.kind:
            case "number":
                found: Operand = Constant(_number(value))
            case "text":
                value = re.sub(r"\\([\"'\\])", r"\1", value[1:-1])
                found = Name(value, token.at) if leftmost else Constant(value)
            case "name" if value.lower() in _CONSTANTS:
                found = Constant(_CONSTANTS[value.lower()])
            case "name" | "column":
                found = Name(value, token.at, leftmost)
            case _:
                raise self._expected("a name or a condition" if leftmost else "a value")
        self._place += 1
        return found

    @property
    def _next(self) -> _Token:
        return self._peek(0)

    def _peek(self, ahead: int) -> _Token:
        return self._tokens[min(self._place + ahead, len(self._tokens) - 1)]

    def _advance(self) -> _Token:
        self._place += 1
        return self._tokens[self._place - 1]

    def _take(self, text: str) -> bool:
        found = self._next.kind in ("sign", "word") and self._next.text == text
        self._place += found
        return found

    def _need(self, text: str) -> None:
        if not self._take(text):
            raise self._expected(f'"{text}"')

    def _expected(self, what: str) -> BadInput:
        return _wrong(self._next.at, f"{what} is expected, not {self._next}.")


def _is_there(operand: Operand) -> Condition:
    return Comparison(operand, "!=", Constant(None))


def _number(text: str) -> int | float:
    return int(text) if re.fullmatch(r"[-+]?[0-9]+", text) else float(text)


def _bound(condition: Condition, table: Table) -> Predicate:
    """Return the condition as a function of a row, with its names looked up in a table."""
    match condition:
        case Some(parts):
            some = [_bound(part, table) for part in parts]
            return lambda row: any(holds(row) for holds in some)
        case Every(parts):
            every = [_bound(part, table) for part in parts]
            return lambda row: all(holds(row) for holds in every)
        case Not(part):
            holds = _bound(part, table)
            return lambda row: not holds(row)
        case Comparison(left, sign, right):
            one, other = _value_of(left, table), _value_of(right, table)
            if Constant(None) in (left, right) and sign in ("==", "!="):
                wanted = sign == "=="
                return lambda row: (one(row) is None and other(row) is None) is wanted
            compared = comparison(sign)
            return lambda row: compared(one(row), other(row))


def _value_of(operand: Operand, table: Table) -> Callable[[Row], Any]:
    if isinstance(operand, Constant):
        return lambda _: operand.value
    column = table.look_up(operand.text)
    if column is not None:
        return column.of
    unknown = table.no_column(operand.text)
    hint = str(unknown.hint or "")
    if not operand.leftmost:
        hint = f'A text is in quotes: "{one_line(operand.text, 40)}"\n{hint}'.rstrip()
    raise _wrong(operand.at, str(unknown), hint or None)


def comparison(sign: str) -> Callable[[Any, Any], bool]:
    """Return what an operator says of two values; every one is false of a missing value."""
    order = _ORDERS.get(sign)

    def ordered(one: Any, other: Any) -> bool:
        pair = _comparable(one, other)
        return pair is not None and order is not None and order(*pair)

    def differ(one: Any, other: Any) -> bool:
        return not _equal(one, other)

    def contains(one: Any, other: Any) -> bool:
        return as_text(other) in as_text(one)

    found = {"==": _equal, "!=": differ, "~": contains}.get(sign, ordered)
    return lambda one, other: one is not None and other is not None and found(one, other)


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    pair = _comparable(one, other)
    return pair is not None and (pair[0] == pair[1] or (pair[0] != pair[0] and pair[1] != pair[1]))


def _comparable(one: Any, other: Any) -> tuple[Any, Any] | None:
    """Two values as two numbers or as two texts; None if they are neither."""
    first, second = _plain(one), _plain(other)
    if isinstance(first, str) and isinstance(second, str):
        return first, second
    pair = _as_number(first), _as_number(second)
    return None if None in pair else pair


def _plain(value: Any) -> Any:
    return as_text(value) if isinstance(value, list) else value


def _as_number(value: Any) -> int | float | None:
    if isinstance(value, str):
        is_number = len(value) <= _LONGEST_NUMBER and _NUMBER_TEXT.fullmatch(value)
        return _number(value.strip()) if is_number else None
    return None if isinstance(value, bool) else value
