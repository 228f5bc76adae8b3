"""The transports, MCP and REST, and the guards around them over HTTP."""
