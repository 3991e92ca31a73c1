"""Makes the packaged demo clip anew: ``python -m worldline.synth.demo``."""

from worldline.synth.demo.clip import demo_clip_path, write_demo_clip

write_demo_clip(demo_clip_path())
