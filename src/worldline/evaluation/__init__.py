"""Metrics: how far a scene is from what is known to be true, or from another scene."""
