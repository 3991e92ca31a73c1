"""Random pictures for the surfaces of synthetic worlds, with edges and contrast as in real ones."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from worldline.synth.materials import Material, albedo
from worldline.synth.textures import Bank
from worldline.threads import one_thread

FAMILIES = (
    "plain", "mottled", "tiles", "bricks", "checker", "stripes", "wood", "leaves", "noise",
    "fabric", "writing",
)  # fmt: skip
LEAVES = 220
EXTENT = 2.0  # metres of a pattern that a texture shows
# the strokes of letters, from (x, y) to (x, y) in units of their width
STROKES = (
    (0.0, 0.1, 0.9, 0.1), (0.0, 0.6, 0.9, 0.6), (0.0, 1.1, 0.9, 1.1), (0.1, 0.1, 0.1, 1.1),
    (0.9, 0.1, 0.9, 1.1), (0.5, 0.1, 0.5, 1.1), (0.1, 1.1, 0.9, 0.1), (0.1, 0.1, 0.9, 1.1),
)  # fmt: skip


def procedural(seed: int, count: int = 64, size: int = 256) -> Bank:
    """A bank of ``count`` random textures, all families in turn; the same for the same seed."""
    generator = torch.Generator().manual_seed(seed)
    with one_thread():  # hundreds of small steps, which threads only slow down
        return Bank.of(torch.stack([_random(i, size, generator) for i in range(count)]))


def _random(index: int, size: int, generator: torch.Generator) -> Float[Tensor, "3 S S"]:
    family = FAMILIES[index % len(FAMILIES)]
    palette = _palette(generator)
    if family in DRAWN:
        return DRAWN[family](palette, size, generator)
    if family == "noise":
        return _coloured(octaves(size, 1.0 + 0.8 * _uniform(generator), generator), palette)
    cell = 0.08 * 6 ** _uniform(generator)
    material = Material(
        family,
        tuple(palette[0].tolist()),
        tuple(palette[1].tolist()),
        (cell, cell * (0.4 + 0.6 * _uniform(generator))),
        0.1 + 0.5 * _uniform(generator),
        50 * _uniform(generator),
    )
    return painted(material, size)


def painted(material: Material, size: int) -> Float[Tensor, "3 S S"]:
    """A pattern on a wall, ``EXTENT`` metres wide."""
    step = EXTENT / size
    along = (torch.arange(size) + 0.5) * step
    z, x = torch.meshgrid(along, along, indexing="ij")
    point = torch.stack([x, torch.zeros_like(x), z], dim=-1).reshape(-1, 3)
    facing = torch.tensor([[0.0, 1.0, 0.0]]).expand_as(point)
    colour = albedo(material, point, facing, torch.full((len(point),), step))
    return colour.float().T.reshape(3, size, size)


def leaves(
    palette: Float[Tensor, "C 3"], size: int, generator: torch.Generator
) -> Float[Tensor, "3 S S"]:
    """Dead leaves (Lee, Mumford, Huang 2001): discs and squares that cover each other.

    Their radii fall off as a power law, which gives edges of all sizes, as in natural pictures.
    """
    along = (torch.arange(size) + 0.5) / size
    picture = palette[0][:, None, None].repeat(1, size, size)
    for leaf in range(LEAVES):
        cx, cy, r, turn, shade = torch.rand(5, generator=generator).tolist()
        radius = (1 / 0.3**2 + r * (1 / 0.015**2 - 1 / 0.3**2)) ** -0.5  # density ~ radius^-3
        colour = (palette[leaf % len(palette)] * (0.6 + 0.8 * shade))[:, None, None]
        columns, rows = (_window(c, 1.5 * radius, size) for c in (cx, cy))
        u, v = along[columns] - cx, along[rows, None] - cy
        if leaf % 3:
            edge = torch.hypot(u, v)
        else:
            cos, sin = math.cos(math.tau * turn), math.sin(math.tau * turn)
            edge = torch.maximum((cos * u + sin * v).abs(), (cos * v - sin * u).abs())
        cover = ((radius - edge) * size + 0.5).clamp(0, 1)
        below = picture[:, rows, columns]
        below += cover * (colour - below)
    grain = 1 + 0.08 * octaves(size, 0.8, generator)
    return (picture * grain).clamp(0, 1)


def _window(middle: float, reach: float, size: int) -> slice:
    """The pixels within reach, of a row or a column."""
    low, high = (middle - reach) * size, (middle + reach) * size
    return slice(max(math.floor(low), 0), min(math.ceil(high), size))


def fabric(
    palette: Float[Tensor, "C 3"], size: int, generator: torch.Generator
) -> Float[Tensor, "3 S S"]:
    """Cloth: coloured threads that go over and under each other, in plain weave or in twill."""
    threads = int(16 * 3 ** _uniform(generator))
    twill = _uniform(generator) < 0.5
    checked = int(2 + 6 * _uniform(generator))  # threads of one colour side by side
    colours = torch.randint(len(palette), (2, threads), generator=generator)
    colours = colours[:, torch.arange(threads) // checked * checked]
    at = (torch.arange(size) + 0.5) / size * threads
    which, across = at.long(), 2 * (at % 1) - 1
    column, row = which, which[:, None]
    over = (column - row) % 4 < 2 if twill else (column + row) % 2 == 0
    standing, lying = palette[colours[0, column]], palette[colours[1, row]]
    colour = torch.where(over[..., None], standing, lying)
    # a thread is round, and goes down at its ends
    profile = 1 - 0.45 * torch.where(over, across**2, across[:, None] ** 2)
    dip = 1 - 0.25 * torch.where(over, across[:, None] ** 2, across**2)
    fuzz = 1 + 0.06 * octaves(size, 0.4, generator)
    return (colour * (profile * dip * fuzz)[..., None]).clamp(0, 1).permute(2, 0, 1)


def writing(
    palette: Float[Tensor, "C 3"], size: int, generator: torch.Generator
) -> Float[Tensor, "3 S S"]:
    """Lines of words, in letters of nobody's alphabet: each is a few of eight strokes."""
    lines = int(4 * 5 ** _uniform(generator))
    letters = int(lines * 1.7)
    alphabet = torch.rand(24, len(STROKES), generator=generator) < 0.42
    text = torch.randint(len(alphabet), (lines, letters), generator=generator)
    blank = torch.rand(lines, letters, generator=generator) < 0.16
    # the last line of a paragraph ends early
    ends = torch.rand(lines, 1, generator=generator) * 2.5
    blank |= torch.arange(letters) / letters > ends
    fine = 2 * size
    at = (torch.arange(fine) + 0.5) / fine
    column, row = (at * letters).long(), (at * lines).long()
    x, y = 1.5 * (at * letters % 1), 1.6 * (at * lines % 1)[:, None]
    drawn = alphabet[text[row[:, None], column]]
    ink = torch.zeros(fine, fine)
    for stroke, (x0, y0, x1, y1) in enumerate(STROKES):
        dx, dy = x1 - x0, y1 - y0
        share = (((x - x0) * dx + (y - y0) * dy) / (dx * dx + dy * dy)).clamp(0, 1)
        near = torch.hypot(x - x0 - share * dx, y - y0 - share * dy) < 0.11
        ink = torch.where(drawn[..., stroke] & near, 1.0, ink)
    ink = torch.where(blank[row[:, None], column], 0, ink)
    ink = torch.nn.functional.avg_pool2d(ink[None], 2)
    light, dark = palette.amax(dim=0)[:, None, None], palette.amin(dim=0)[:, None, None]
    paper = light * (1 + 0.04 * octaves(size, 1.0, generator))
    return torch.lerp(paper, 0.5 * dark.expand_as(paper), ink).clamp(0, 1)


def octaves(size: int, slope: float, generator: torch.Generator) -> Float[Tensor, "S S"]:
    """Noise whose amplitude falls as frequency^-slope over all octaves; mean 0, deviation 1."""
    white = torch.randn(size, size, generator=generator)
    fy, fx = torch.meshgrid(torch.fft.fftfreq(size), torch.fft.fftfreq(size), indexing="ij")
    frequency = torch.hypot(fx, fy).clamp_min(1 / size)
    noise = torch.fft.ifft2(torch.fft.fft2(white) * frequency**-slope).real
    return (noise - noise.mean()) / noise.std()


def _coloured(noise: Tensor, palette: Float[Tensor, "C 3"]) -> Float[Tensor, "3 S S"]:
    share = (0.5 + 0.3 * noise).clamp(0, 0.999) * (len(palette) - 1)
    low = share.long()
    colour = torch.lerp(palette[low], palette[low + 1], (share - low)[..., None])
    return colour.permute(2, 0, 1)


def _palette(generator: torch.Generator, count: int = 5) -> Float[Tensor, "C 3"]:
    """Colours about one hue, some pale, some dark: squares keep them from being pastel."""
    middle = torch.rand(3, generator=generator)
    spread = 0.6 * torch.randn(count, 1, generator=generator)
    own = 0.2 * torch.randn(count, 3, generator=generator)
    return (middle + spread * 0.4 + own).clamp(0.05, 0.95) ** 1.6


def _uniform(generator: torch.Generator) -> float:
    return torch.rand((), generator=generator).item()


DRAWN = {"leaves": leaves, "fabric": fabric, "writing": writing}
