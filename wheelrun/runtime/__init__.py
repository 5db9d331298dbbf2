"""What runs on the cluster: entrypoints, parameters, artifacts, events. Standard library only."""
