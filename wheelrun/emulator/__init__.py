"""A server on this machine that speaks the Databricks REST API and runs what is submitted to it, on real Spark."""
