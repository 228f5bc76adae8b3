"""Backups: one file with the database's rows, the logins and the media, made while servers run, and put back on any machine."""
