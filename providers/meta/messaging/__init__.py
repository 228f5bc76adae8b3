"""The Messenger Platform, which Facebook Messenger and Instagram have in common."""
