"""The advisory locks of PostgreSQL that this program takes, by number. Another program on the same database must not use these numbers.

Numbers are not changed: two versions of this program may work on one database, and have to agree.
"""

EVENT_LOG = 7019830104723521
"""Guards the event log, from the first change of a message until the commit: events are numbered in the order of their commits.

It is taken before any row is locked, so that two writers never wait for one another crosswise. One for each database.
"""

MIGRATIONS = 0x6D6D_0001
"""Guards the schema while one file of a migration runs. One for each database."""

EMBEDDED_USERS = 0x6D6D_0002
"""Counts the users of an embedded server: each holds it shared, so whoever gets it alone is the last one and stops the server.

The server frees it when a process dies.
"""
