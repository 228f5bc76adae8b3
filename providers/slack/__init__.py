"""Slack, as an app with a bot user."""
