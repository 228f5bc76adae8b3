"""Retention: removes what is older than its rule, in small steps beside the work."""
