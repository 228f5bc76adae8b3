"""Instances at work: leases, supervision, runtimes, states."""
