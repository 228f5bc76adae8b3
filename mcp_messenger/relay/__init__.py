"""The process in an instance's container: the provider, a durable spool of its events, a ledger of its sends, and the pull protocol."""
