"""The network: guarded fetching, uploads, listening."""
