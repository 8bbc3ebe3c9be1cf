"""Benchmarks: the cost and speed of Orchestra, next to comparable programs in the same run. `make bench` runs them."""
