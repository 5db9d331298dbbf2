"""Runs in containers of this machine's Docker engine. Nothing outside of this folder imports the engine's SDK."""
