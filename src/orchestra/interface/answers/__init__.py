"""Answers that are composed of several values; the values themselves are in `domain/models/`.

An answer can be serialized and read back by its type alone: it consists of texts, numbers, times, enums, tuples,
mappings by text or number, and dataclasses of these, and all their modules import these types at run time. A test
checks it.
"""
