"""The duties that one process at a time carries out for all: life cycle, order, cleaning up."""
