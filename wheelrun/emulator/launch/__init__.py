"""Running a task's process apart from the emulator: its files where a cluster has them, and its end for certain."""
