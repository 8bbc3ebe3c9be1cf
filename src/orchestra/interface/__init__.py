"""What can be asked of Orchestra, whoever asks and from wherever.

Each operation is a request, a frozen dataclass: a `Question` changes nothing, a `Change` does. Its type says what is
answered. `table.py` lists all operations; `local/` carries them out over a connection to the database. The command
line and `orchestra.Client` are built on this and on nothing below it.

    interface(GetNode("caloba21"))          # a Node
    interface(HoldTask(3, "new disk"))      # how the task was before, and the step

The requests stand in several small modules, since making the classes takes time: a command brings in what it needs.
"""
