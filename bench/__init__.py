"""What Orchestra costs and how fast it is, each figure beside a peer's in the same run. `make bench` runs all of it."""
