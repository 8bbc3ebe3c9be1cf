"""What is answered, where that is composed of several values; the values themselves stand in `domain/models/`.

An answer can be written down and read back by its type alone: it consists of texts, numbers, moments, enums, tuples,
mappings by text or number, and dataclasses of these, and the modules of all of them import these types at run time. A
test sees to it.
"""
