"""Losses as the papers give them, one file a family; what a paper leaves open is labelled so.

Predictions and truth share shapes and axes with the networks of `models/`. `valid` marks where
truth is known; every loss is a mean over that, and zero (with zero gradients) where nothing is.
"""
