"""The pure core: words, states and rules. Standard library only; no clock, no environment, no I/O."""
