"""How the operations are reached: MCP, REST, the terminal."""
