"""Pools: how many pilots are wanted of a batch system, and what its words mean. Pure."""
