"""The orchestrators: one file or folder per system, found by name through `registry`."""
