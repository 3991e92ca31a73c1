"""From the light on a sensor to the pictures that a camera puts out: noise, colours, 8 bits."""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from worldline.synth.shading import srgb


class Development(NamedTuple):
    """What the electronics of B cameras do to N frames; all factors 1 and all else 0: nothing.

    ``gain`` is the exposure's factor and ``white`` that of each colour. ``vignette`` is the share
    of the light that the corners lose. Noise in linear light has the variance
    ``shot * light + read²``. ``gamma`` bends the sRGB values, ``contrast`` (0 to 1) makes their
    curve an S.
    """

    gain: Float[Tensor, "B N"]
    white: Float[Tensor, "B N 3"]
    vignette: Float[Tensor, " B"]
    shot: Float[Tensor, " B"]
    read: Float[Tensor, " B"]
    gamma: Float[Tensor, " B"]
    contrast: Float[Tensor, " B"]
    noise_seeds: tuple[int, ...]


def developed(light: Float[Tensor, "B N H W 3"], how: Development) -> Float[Tensor, "B N H W 3"]:
    """sRGB in [0, 1] of linear light in which 1 is white."""
    like = light
    exposed = light * how.gain.to(like)[:, :, None, None, None]
    if (how.vignette != 0).any():
        exposed = exposed * _falloff(how.vignette.to(like), light.shape[2], light.shape[3])
    if (how.shot != 0).any() or (how.read != 0).any():
        exposed = _noisy(exposed, how)
    # the colours are balanced after the sensor: what is amplified is noisier
    return _toned(srgb(exposed * how.white.to(like)[:, :, None, None]), how)


def quantised(rgb: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Values in [0, 1] that 8 bits can hold."""
    return (255 * rgb).round() / 255


def _falloff(lost: Float[Tensor, " B"], height: int, width: int) -> Float[Tensor, "B 1 H W 1"]:
    """What is left of the light: it falls with the square of the distance to the middle."""
    y = torch.arange(height, device=lost.device) + 0.5 - height / 2
    x = torch.arange(width, device=lost.device) + 0.5 - width / 2
    corner = math.hypot(width / 2, height / 2)
    share = (y[:, None].square() + x.square()) / corner**2
    return (1 - lost[:, None, None] * share)[:, None, :, :, None]


def _noisy(light: Float[Tensor, "B N H W 3"], how: Development) -> Float[Tensor, "B N H W 3"]:
    """Photons come at random, and reading them out adds noise of its own."""
    noise = torch.empty_like(light)
    for own, seed in zip(noise, how.noise_seeds, strict=True):
        own.normal_(generator=torch.Generator(light.device).manual_seed(seed))
    shot, read = (x.to(light)[:, None, None, None, None] for x in (how.shot, how.read))
    return torch.addcmul(light, noise, (shot * light + read * read).sqrt())


def _toned(rgb: Float[Tensor, "B N H W 3"], how: Development) -> Float[Tensor, "B N H W 3"]:
    gamma, contrast = (x.to(rgb)[:, None, None, None, None] for x in (how.gamma, how.contrast))
    if (how.gamma != 1).any():
        rgb = rgb**gamma
    if (how.contrast != 0).any():
        rgb = torch.lerp(rgb, rgb * rgb * (3 - 2 * rgb), contrast)
    return rgb
