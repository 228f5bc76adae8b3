"""Commands of the terminal, most of them for a server that runs."""
