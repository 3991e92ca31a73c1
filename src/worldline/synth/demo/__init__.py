"""The demo: a short procedural clip that ships with the package, and its exact truth."""

from worldline.synth.demo.clip import demo_clip_path, demo_frames, write_demo_clip
from worldline.synth.demo.truth import DemoTruth, demo_truth

__all__ = ["DemoTruth", "demo_clip_path", "demo_frames", "demo_truth", "write_demo_clip"]
