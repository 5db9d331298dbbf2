"""A module built by flit."""

__version__ = "1.1.dev3"
