"""Callers and their rights, encrypted secrets, call limits."""
