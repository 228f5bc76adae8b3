"""The ways of messages: inbound, outbox, event feed and webhooks."""
