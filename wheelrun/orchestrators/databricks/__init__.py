"""Runs as jobs of a Databricks workspace. Only `api` imports the official client, and only when it is needed."""
