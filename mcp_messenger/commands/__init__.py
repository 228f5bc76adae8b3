"""What a person asks in a terminal of a server that runs."""
