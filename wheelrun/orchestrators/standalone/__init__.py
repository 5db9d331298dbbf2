"""Spark's own standalone clusters: drivers that are submitted through the Master's REST gateway."""
