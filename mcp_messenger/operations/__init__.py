"""The operations, one definition each, and the table of them."""
