"""Orchestra runs one command over many configuration files and looks after the result."""

__version__ = "0.1.0"
