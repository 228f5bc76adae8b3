"""Checks of a server and of what it needs, a module for each part. They change nothing, and start nothing."""
