"""Who calls, what they may, and how secrets are kept."""
