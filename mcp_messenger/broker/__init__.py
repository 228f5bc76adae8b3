"""The broker: it owns the engine's socket, and lets a server make instances' containers with it and nothing else."""
