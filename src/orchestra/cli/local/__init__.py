"""Commands that are local by nature: they begin, end and mend what runs on this machine, or run something in it.

Only they may hold a connection to the database (`connection.py`) or call the services; every other command and
`orchestra.Client` ask an `Interface`, which may carry their requests out on another machine. `pyproject.toml` has the
contract that keeps it so.
"""
