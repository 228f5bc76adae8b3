"""What reaches the network or is reached over it."""
