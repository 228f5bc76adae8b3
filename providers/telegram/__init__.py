"""Telegram, as a bot through the Bot API."""
