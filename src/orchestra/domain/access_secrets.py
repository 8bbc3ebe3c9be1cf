"""The secrets that prove a caller: tokens, one-time codes, cookies. Pure but for the random bits.

A token is `orc_`, 32 random letters and digits (190 bits) and 6 more that are their CRC-32, so that a typing error and
most made-up tokens are recognized without the database, and scanners of code recognize a token. Only SHA-256 hashes are
stored: nobody can guess 190 random bits, so they need no salt and no slow hash.
"""

from __future__ import annotations

import re
import secrets
from hashlib import sha256
from string import ascii_letters, digits
from zlib import crc32

PREFIX = "orc_"
_ALPHABET = digits + ascii_letters
_RANDOM, _CHECK = 32, 6
_SHAPE = re.compile(rf"{PREFIX}([0-9A-Za-z]{{{_RANDOM}}})([0-9A-Za-z]{{{_CHECK}}})")
SHOWN = 8
"""Characters of a token that are kept to recognize it: the prefix and four, which leave 166 random bits."""
TOKEN = rf"{PREFIX}[0-9A-Za-z]+"
"""A pattern of what may be a token, or a part of one."""


def new_token() -> str:
    """Return the secret of a new token."""
    random = "".join(secrets.choice(_ALPHABET) for _ in range(_RANDOM))
    return f"{PREFIX}{random}{_checksum(random)}"


def is_token(text: str) -> bool:
    """Whether a text has the form of a token, with the right checksum."""
    found = _SHAPE.fullmatch(text)
    return found is not None and _checksum(found[1]) == found[2]


def start_of(token: str) -> str:
    """Return the beginning of a token, by which it is recognized and which is no secret."""
    return token[:SHOWN]


def new_secret() -> str:
    """Return a new one-time code or cookie: 192 random bits, safe in an address."""
    return secrets.token_urlsafe(24)


def hash_of(secret: str) -> bytes:
    """Return what the database stores of a secret."""
    return sha256(secret.encode(errors="surrogatepass")).digest()


def without_tokens(text: str) -> str:
    """Return a text in which tokens are replaced by their beginnings, for logs and reports of errors."""
    return re.sub(TOKEN, lambda found: f"{start_of(found[0])}...", text)


def _checksum(random: str) -> str:
    rest, found = crc32(random.encode()), ""
    for _ in range(_CHECK):
        rest, digit = divmod(rest, len(_ALPHABET))
        found = _ALPHABET[digit] + found
    return found
