"""The pages that people open: to add an account, to log it in, to decide about a call of an agent."""
