"""Instances at work: who runs them, with what settings, and what is known of them."""
