"""How a real camera sees a world: every effect a range to draw from, none of them by default.

The truth stays that of the ideal camera at the middle of the exposure. Of a lens that distorts,
only the picture is distorted: depth and all other truth are on the grid of the pinhole, on which a
Scene's frames are, too, once the picture is undistorted with the coefficients that come with it.
"""

import dataclasses
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from worldline.errors import InputError
from worldline.synth.camera import Cameras
from worldline.synth.codec import compressed
from worldline.synth.development import Development, developed, quantised
from worldline.synth.optics import Optics, gather
from worldline.synth.render import Rendering, render
from worldline.synth.world import World

Range = tuple[float, float]
OFF: Range = (0.0, 0.0)
INTERVAL = 1 / 30  # seconds, of a clip of one frame
FOCUS = 10.0  # metres, where nothing is seen
NUMBERS = 32  # drawn for every clip, used or not


def _sees_its_corner(bulge: float, curl: float) -> bool:
    """Whether a radius bends out to the picture's corner while it still grows."""
    radius = [0.005 * i for i in range(601)]
    bent = [s * (1 + bulge * s**2 + curl * s**4) for s in radius]
    grows = next((i for i in range(600) if bent[i + 1] <= bent[i]), 600)
    return bent[grows] > 1.02


@dataclass(frozen=True)
class Sensor:
    """Ranges from which each clip of a camera draws its effects, evenly; all off by default.

    ``exposure`` is in stops; it wanders by ``drift`` (sine) and jumps once by ``jump`` in a share
    ``jumps`` of the clips. ``warmth`` is stops of red over blue and wanders by ``warming``;
    ``tint`` is stops of green. ``shutter`` and ``readout`` are shares of the time between frames
    (see ``Optics``). ``blur`` is the radius of far points' discs, as a share of the picture's
    width, with the lens focused on the quantile ``focus`` of the first frame's depths. ``bulge``
    and ``curl`` (k1, k2) say how far the lens moves what an ideal one would show in the picture's
    corner, as a share of its distance from the middle (barrel: below 0). ``crf`` is x264's rate
    factor (0: no video). See ``Development`` for the rest, and ``optics.gather`` for ``bands`` and
    ``passes``: the work grows with the passes.
    """

    exposure: Range = OFF
    drift: Range = OFF
    jump: Range = OFF
    jumps: float = 0.0
    warmth: Range = OFF
    warming: Range = OFF
    tint: Range = OFF
    shutter: Range = OFF
    readout: Range = OFF
    blur: Range = OFF
    focus: Range = (0.1, 0.9)
    bulge: Range = OFF
    curl: Range = OFF
    vignette: Range = OFF
    shot: Range = OFF
    read: Range = OFF
    gamma: Range = (1.0, 1.0)
    contrast: Range = OFF
    crf: Range = OFF
    eight_bits: bool = False
    bands: int = 12
    passes: int = 8

    def __post_init__(self) -> None:
        for name, (low, high) in self.ranges().items():
            if not low <= high:
                raise InputError(f"the sensor's {name} goes from {low:g} to {high:g}; swap them.")
        for name in ("shutter", "readout", "vignette", "jumps", "contrast", "focus"):
            ends = getattr(self, name)
            low, high = ends if isinstance(ends, tuple) else (ends, ends)
            if low < 0 or high > 1:
                raise InputError(f"the sensor's {name} is a share: give numbers from 0 to 1.")
        if min(self.blur[0], self.shot[0], self.read[0]) < 0 or self.gamma[0] <= 0:
            raise InputError("the sensor's blur, shot and read start at 0, and its gamma above it.")
        if not 0 <= self.crf[0] <= self.crf[1] <= 51:
            raise InputError("the sensor's crf is x264's: give numbers from 0 to 51.")
        if min(self.bands, self.passes) < 1:
            raise InputError("a sensor has at least 1 band and 1 pass.")
        for bulge in self.bulge:
            for curl in self.curl:
                if not _sees_its_corner(bulge, curl):
                    raise InputError(f"no lens bends corners by {bulge:g} and {curl:g}; use less.")

    def ranges(self) -> dict[str, Range]:
        """All ranges, in the order in which clips draw from them."""
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return {name: value for name, value in values.items() if isinstance(value, tuple)}

    @property
    def pinhole(self) -> bool:
        """Whether light comes in as through a pinhole, all at once."""
        names = ("shutter", "readout", "blur", "bulge", "curl")
        return all(getattr(self, name) == OFF for name in names)


# believable cameras, from what their makers and reviews say; not fitted to any
SENSORS = {
    "ideal": Sensor(),
    "phone": Sensor(
        exposure=(-0.5, 0.5), drift=(0.0, 0.3), jump=(-0.7, 0.7), jumps=0.15,
        warmth=(-0.3, 0.3), warming=(0.0, 0.1), tint=(-0.05, 0.05), shutter=(0.05, 0.5),
        readout=(0.3, 0.8), blur=(0.0, 0.002), vignette=(0.0, 0.25), shot=(1e-4, 1e-3),
        read=(1e-3, 5e-3), gamma=(0.9, 1.1), contrast=(0.0, 0.4), crf=(20.0, 30.0),
        eight_bits=True,
    ),
    "action": Sensor(
        exposure=(-0.6, 0.6), drift=(0.0, 0.6), jump=(-1.0, 1.0), jumps=0.2,
        warmth=(-0.4, 0.4), tint=(-0.05, 0.05), shutter=(0.02, 0.3), readout=(0.3, 0.7),
        bulge=(-0.12, -0.04), curl=(0.0, 0.02), vignette=(0.1, 0.4), shot=(2e-4, 2e-3),
        read=(2e-3, 8e-3), contrast=(0.1, 0.6), crf=(22.0, 32.0), eight_bits=True,
    ),
    "webcam": Sensor(
        exposure=(-0.8, 0.8), drift=(0.0, 0.4), jump=(-1.0, 1.0), jumps=0.3,
        warmth=(-0.6, 0.6), warming=(0.0, 0.3), tint=(-0.15, 0.15), shutter=(0.4, 1.0),
        readout=(0.4, 0.9), bulge=(-0.05, 0.01), vignette=(0.1, 0.4), shot=(5e-4, 4e-3),
        read=(4e-3, 15e-3), gamma=(0.85, 1.15), crf=(26.0, 36.0), eight_bits=True,
    ),
    "film": Sensor(
        exposure=(-0.3, 0.3), warmth=(-0.5, 0.5), tint=(-0.1, 0.1), shutter=(0.5, 0.5),
        blur=(0.003, 0.012), vignette=(0.0, 0.35), shot=(2e-4, 1.5e-3), read=(1e-3, 4e-3),
        gamma=(0.9, 1.1), contrast=(0.2, 0.8), crf=(14.0, 22.0), eight_bits=True, passes=16,
    ),
}  # fmt: skip


class Recording(NamedTuple):
    """What a camera recorded: ``rgb`` with the sensor's effects, the truth without.

    ``distortion`` is OpenCV's k1, k2 of each clip's lens (0: none).
    """

    rendering: Rendering
    distortion: Float[Tensor, "B 2"]


def record(
    world: World,
    cameras: Cameras,
    sensor: Sensor,
    seeds: Sequence[int],
    *,
    samples: int = 1,
    suns: int = 1,
) -> Recording:
    """The clips of B worlds as a camera records them, each by its own seed; see ``render``.

    The same seed draws the same effects everywhere, and gives the same frames on one CPU. Switching
    one effect on or off leaves what the others draw. Only H.264 leaves the device.
    Raises InputError unless there is a seed for each world.
    """
    if len(seeds) != len(cameras.times):
        raise InputError(f"{len(seeds)} seeds for {len(cameras.times)} clips; give one for each.")
    drawn = draw(sensor, seeds, cameras)
    if sensor.pinhole:
        seen = render(world, cameras, samples=samples, suns=suns, linear=True)
        light, distortion = seen.rgb, torch.zeros(len(seeds), 2, device=world.device)
    else:
        seen = render(world, cameras, linear=True)
        optics = _optics(drawn, cameras, seen)
        distortion = optics.distortion
        light = gather(
            world, cameras, optics,
            bands=1 if sensor.readout == OFF else sensor.bands,
            passes=1 if sensor.shutter == sensor.blur == OFF else sensor.passes,
            samples=samples, suns=suns,
        )  # fmt: skip
    assert light is not None  # colour is on by default
    rgb = developed(light, drawn.development)
    if sensor.crf != OFF:
        rgb = _compressed(rgb, drawn.values["crf"], cameras)
    elif sensor.eight_bits:
        rgb = quantised(rgb)
    return Recording(dataclasses.replace(seen, rgb=rgb), distortion)


class Drawn(NamedTuple):
    """The effects of B clips: a value [B] out of each range, and what becomes of them."""

    values: dict[str, Float[Tensor, " B"]]
    development: Development


def draw(sensor: Sensor, seeds: Sequence[int], cameras: Cameras) -> Drawn:
    """Each clip's effects from its seed alone."""
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    table = torch.stack([torch.rand(NUMBERS, generator=g).double() for g in generators])
    noise = tuple(int(torch.randint(2**62, (), generator=g)) for g in generators)
    table = table.to(cameras.times)
    ranges = sensor.ranges()
    ends = torch.tensor(list(ranges.values())).to(table)
    drawn = ends[:, 0] + table[:, : len(ranges)] * (ends[:, 1] - ends[:, 0])
    values = dict(zip(ranges, drawn.unbind(dim=1), strict=True))
    return Drawn(values, _development(sensor, values, table[:, len(ranges) :], noise, cameras))


def _development(
    sensor: Sensor,
    values: dict[str, Float[Tensor, " B"]],
    chance: Float[Tensor, "B C"],
    noise: tuple[int, ...],
    cameras: Cameras,
) -> Development:
    first, last = cameras.times[:, :1], cameras.times[:, -1:]
    way = (cameras.times - first) / (last - first).clamp_min(1e-9)

    def wander(k: int) -> Tensor:
        """From 0 on, along a quarter of a wave to one and a quarter over the clip."""
        rate, phase = (2 * torch.pi * chance[:, [k, k + 1], None]).unbind(dim=1)
        return ((0.5 * torch.pi + rate) * way + phase).sin() - phase.sin()

    column = {name: value[:, None] for name, value in values.items()}
    jumped = (chance[:, 4:5] < sensor.jumps) & (way >= chance[:, 5:6]) & (way > 0)
    stops = column["exposure"] + column["drift"] * wander(0) + column["jump"] * jumped
    warmth = column["warmth"] + column["warming"] * wander(2)
    white = torch.stack([warmth / 2, column["tint"].expand_as(warmth), -warmth / 2], dim=-1)
    return Development(
        gain=torch.exp2(stops),
        white=torch.exp2(white),
        noise_seeds=noise,
        **{name: values[name] for name in ("vignette", "shot", "read", "gamma", "contrast")},
    )


def _optics(drawn: Drawn, cameras: Cameras, seen: Rendering) -> Optics:
    """Shares turned into seconds, metres and coefficients."""
    value = drawn.values
    interval = _interval(cameras)
    focus = _quantile(seen.depth[:, 0].flatten(1), value["focus"]).to(interval)
    width, height = cameras.size
    lens = cameras.intrinsics[:, 0]
    corner = ((width / 2) / lens[:, 0, 0]) ** 2 + ((height / 2) / lens[:, 1, 1]) ** 2
    return Optics(
        shutter=value["shutter"] * interval,
        readout=value["readout"] * interval,
        aperture=value["blur"] * width / lens[:, 0, 0] * focus,
        focus=focus,
        distortion=torch.stack([value["bulge"] / corner, value["curl"] / corner**2], dim=-1),
    )


def _interval(cameras: Cameras) -> Float[Tensor, " B"]:
    """Seconds between frames."""
    if cameras.times.shape[1] == 1:
        return torch.full_like(cameras.times[:, 0], INTERVAL)
    return cameras.times.diff(dim=1).median(dim=1).values


def _quantile(depth: Float[Tensor, "B P"], share: Float[Tensor, " B"]) -> Float[Tensor, " B"]:
    """A quantile of the depths of what is seen."""
    ordered = depth.sort(dim=1).values
    count = ordered.isfinite().sum(dim=1)
    rank = (share * (count - 1).clamp_min(0)).long()
    found = ordered.gather(1, rank[:, None])[:, 0]
    return torch.where(found.isfinite(), found, FOCUS)


def _compressed(
    rgb: Float[Tensor, "B N H W 3"], crf: Float[Tensor, " B"], cameras: Cameras
) -> Float[Tensor, "B N H W 3"]:
    """The frames after H.264, clip by clip; the encoder runs on the CPU."""
    levels: UInt8[Tensor, "B N H W 3"] = (255 * rgb).round().to(torch.uint8).cpu()
    rates = (1 / _interval(cameras)).tolist()
    with ThreadPoolExecutor(torch.get_num_threads(), "codec") as pool:
        clips = pool.map(compressed, levels.numpy(), crf.tolist(), rates)
        read = torch.stack([torch.from_numpy(clip) for clip in clips])
    return read.to(rgb) / 255
