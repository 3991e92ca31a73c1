"""A contact sheet of random worlds: ``python -m worldline.synth.gallery --out docs/synth.jpg``."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

from worldline.synth.generator import MIXES, Mix, generate
from worldline.synth.render import render

ACROSS, DOWN = 6, 4
SIZE = (240, 180)
FRAMES, SHOWN = 24, 12  # of each world's clip, and the frame in the sheet
GAP = 4  # pixels between pictures


def sheet(
    seeds: Sequence[int], mix: Mix, size: tuple[int, int] = SIZE, across: int = ACROSS
) -> UInt8[Tensor, "H W 3"]:
    """One frame of each seed's world, ``across`` in a row."""
    rows = []
    for start in range(0, len(seeds), across):
        world, cameras = generate(seeds[start : start + across], mix, size=size, frames=FRAMES)
        seen = render(world, cameras.frames([SHOWN]), samples=2, suns=2)
        assert seen.rgb is not None  # colour was asked for
        pictures = torch.nn.functional.pad(seen.rgb[:, 0], (0, 0, GAP, 0, GAP, 0), value=1.0)
        rows.append(torch.cat(list(pictures), dim=1))
    return (255 * torch.cat(rows)).round().to(torch.uint8)


def main(argv: Sequence[str] | None = None) -> None:
    """Draws the sheet and writes it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="the picture, .jpg or .png")
    parser.add_argument("--mix", choices=MIXES, default="train")
    parser.add_argument("--seed", type=int, default=0, help="the first of 24")
    options = parser.parse_args(argv)
    seeds = range(options.seed, options.seed + ACROSS * DOWN)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(sheet(seeds, MIXES[options.mix]).numpy()).save(options.out, quality=90)


if __name__ == "__main__":
    main()
