"""The values that Orchestra speaks of. Frozen; made at the border of the store or by a service.

One module a duty, since making the classes takes time: a command brings in those that it needs.
"""
