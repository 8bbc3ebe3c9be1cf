"""All operations: their names, what is asked, and who may ask it.

From this table come the test of everybody's rights and, later, what a server offers: what is not in it cannot be asked
from outside. A name stays as it is once it was released.
"""

from __future__ import annotations

from orchestra.interface import names, nodes, users
from orchestra.interface.operation import Operation

OPERATIONS = (
    # Users
    Operation("user.me", users.Me),
    Operation("user.list", users.ListUsers),
    Operation("user.get", users.GetUser),
    # Nodes
    Operation("node.list", nodes.ListNodes),
    Operation("node.get", nodes.GetNode),
    # What somebody may type next
    Operation("name.list", names.ListNames),
)
