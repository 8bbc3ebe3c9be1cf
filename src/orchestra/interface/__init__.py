"""The interface of Orchestra: all operations, as requests and answers.

Each operation is a request, a frozen dataclass: a `Question` changes nothing, a `Change` does. The request's type
declares the answer's. `table.py` lists all operations; `local/` carries them out over a connection to the database. The
command line and `orchestra.Client` are built on this and on nothing below it.

    interface(GetNode("caloba21"))          # a Node
    interface(HoldTask(3, "new disk"))      # the task before, and the transition

The requests are in several small modules, since creating the classes takes time: a command imports only what it needs.
"""
