"""How operations are reached: MCP, REST and what stands around them over HTTP."""
