"""Commands that need this machine: they start, stop and repair what runs on it, or run something on it.

Only they may hold a connection to the database (`connection.py`) or call the services, which a contract in
`pyproject.toml` enforces. Every other command and `orchestra.Client` ask an `Interface`, which may carry out their
requests on another machine.
"""
