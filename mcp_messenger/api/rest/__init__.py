"""The operations as REST routes."""
