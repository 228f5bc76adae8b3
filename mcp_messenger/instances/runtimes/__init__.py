"""Where an instance runs: in this process, or in a container of its own."""
