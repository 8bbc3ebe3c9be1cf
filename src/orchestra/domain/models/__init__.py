"""Frozen values: users, nodes, data sets, tasks, jobs, attempts and what is known about them.

One small module per subject, because creating dataclasses takes time: a command imports only those that it needs.
"""
