"""The background duties that one process at a time carries out for the whole cluster."""
