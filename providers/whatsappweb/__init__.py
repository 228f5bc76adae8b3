"""WhatsApp Web, as a linked device of a person's own account, through a browser. Unofficial: WhatsApp may block the number."""
