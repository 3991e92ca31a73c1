"""Procedural worlds with exact truth: a small ray caster, and the demo clip made with it."""
