"""Procedural worlds with exact 4D truth: a batched ray caster, and the demo clip made with it."""
