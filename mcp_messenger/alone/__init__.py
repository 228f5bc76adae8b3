"""One messenger alone: its provider, a durable spool of what came, and its own API. No database."""
