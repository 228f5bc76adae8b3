"""Runtimes: where an instance runs, in this process or in its own container."""
