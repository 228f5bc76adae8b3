"""The operations as MCP tools and resources."""
