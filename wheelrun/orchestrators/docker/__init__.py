"""Runs in containers of a Docker engine on this machine. What is imported from the engine's SDK is imported here only."""
