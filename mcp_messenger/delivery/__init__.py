"""Messages on their way: inbound, outbox, the reader of the event log, and webhooks."""
