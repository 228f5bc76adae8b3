"""Agents that answer for an instance."""
