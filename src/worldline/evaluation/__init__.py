"""Metrics: how far a scene is from what is known to be true."""
