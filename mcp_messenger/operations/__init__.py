"""What can be done, one definition each."""
