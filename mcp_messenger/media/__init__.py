"""Files of strangers, made into what a model can take: decoded in a child process with limits, never in the server."""
