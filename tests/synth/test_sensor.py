"""What a sensor does to pictures, effect by effect, and that truth and the other effects do not
change by it."""

import dataclasses
import math

import cv2
import numpy as np
import pytest
import torch

from worldline.errors import InputError
from worldline.synth.camera import Cameras, look_at, pinhole, rays, straightened
from worldline.synth.codec import compressed
from worldline.synth.development import developed
from worldline.synth.materials import Material, Painted
from worldline.synth.motion import Curves, Joints, rest, stack
from worldline.synth.optics import Optics, delayed, gather
from worldline.synth.render import render
from worldline.synth.sensor import SENSORS, Sensor, draw, record
from worldline.synth.shapes import Kind
from worldline.synth.world import Light, World

SIZE = (64, 48)
WHITE = (1.0, 1.0, 1.0)
BLACK = (0.0, 0.0, 0.0)
SPEED = 2.0  # m/s of the bar
INTERVAL = 0.1


def world(speed: float = SPEED, depth: float = 4.0) -> World:
    """A tall white bar, 0.5 m wide, that goes to the right before black: all light is its own."""
    curves = stack([rest((0.0, depth, 0.0)).push((speed, 0.0, 0.0))])
    return World(
        (Kind.BOX,),
        torch.tensor([[[0.25, 0.01, 20.0]]]).double(),
        torch.ones(1, 1, dtype=torch.bool),
        Joints.of(Curves(*(x[None] for x in curves))),
        Painted((Material("plain", WHITE, grain=0.0),)),
        dataclasses.replace(
            Light.of((0.0, 0.0, 1.0), BLACK, (0.4, 0.4, 0.4), (0.4, 0.4, 0.4)),
            horizon=torch.zeros(1, 3),
            zenith=torch.zeros(1, 3),
        ),
    )


def cameras(frames: int = 3, turn: float = 0.0, size: tuple[int, int] = SIZE) -> Cameras:
    """A camera at the origin that looks along y, and turns to the right by rad/s."""
    times = INTERVAL * (torch.arange(frames).double() - frames // 2)[None]
    angle = turn * times
    ahead = torch.stack([angle.sin(), angle.cos(), 0 * angle], dim=-1)
    lens = pinhole(math.radians(60), size).expand(1, frames, 3, 3)
    return Cameras(look_at(0 * ahead, ahead, 0 * angle), lens, size, times)


def optics(**given: float) -> Optics:
    values = {"shutter": 0.0, "readout": 0.0, "aperture": 0.0, "focus": 1.0, **given}
    return Optics(
        *(torch.tensor([x]).double() for x in values.values()), torch.zeros(1, 2).double()
    )


def plain(w: World, c: Cameras, samples: int = 1) -> torch.Tensor:
    return render(w, c, samples=samples, linear=True).rgb


FOCAL = pinhole(math.radians(60), SIZE)[0, 0].item()


def test_an_ideal_sensor_is_the_plain_render_to_the_last_bit():
    w, c = world(), cameras()
    seen = render(w, c, samples=2)
    recorded = record(w, c, SENSORS["ideal"], [3], samples=2)
    for field in dataclasses.fields(seen):
        value, expected = (getattr(x, field.name) for x in (recorded.rendering, seen))
        assert torch.equal(value, expected), field.name
    assert (recorded.distortion == 0).all()


@pytest.mark.parametrize("name", [f.name for f in dataclasses.fields(Sensor)])
def test_no_effect_touches_the_truth_nor_what_other_effects_draw(name):
    w, c = world(), cameras()
    given = {
        "bulge": (-0.1, -0.05), "curl": (0.0, 0.02), "focus": (0.4, 0.6), "gamma": (0.8, 0.9),
        "crf": (20.0, 30.0), "jumps": 0.5, "eight_bits": True, "bands": 3, "passes": 2,
    }.get(name, (0.1, 0.2))  # fmt: skip
    sensor = Sensor(**{"passes": 2, name: given})
    recorded, seen = record(w, c, sensor, [5]).rendering, render(w, c)
    for field in ("albedo", "depth", "instance", "material", "normal"):
        assert torch.equal(getattr(recorded, field), getattr(seen, field)), field
    alone, all_on = draw(sensor, [5], c).values, draw(SENSORS["phone"], [5], c).values
    if isinstance(given, tuple):
        (low, high), (start, end) = given, getattr(SENSORS["phone"], name)
        if end > start:
            share = (all_on[name] - start) / (end - start)
            torch.testing.assert_close((alone[name] - low) / (high - low), share)
        assert low <= alone[name].item() <= high


@pytest.mark.parametrize("name", sorted(SENSORS))
def test_the_same_seed_is_the_same_clip_and_another_is_another(name):
    w, c = world(), cameras()
    sensor = dataclasses.replace(SENSORS[name], passes=2, bands=4)
    raw = dataclasses.replace(sensor, crf=(0.0, 0.0))
    uncoded = [record(w, c, raw, [7]).rendering.rgb for _ in range(2)]
    assert torch.equal(*uncoded), "before any encoder"
    first, again, other = (record(w, c, sensor, [seed]).rendering.rgb for seed in (7, 7, 8))
    assert torch.equal(first, again)
    assert torch.equal(first, other) == (name == "ideal")
    assert first.min() >= 0 and first.max() <= 1


def test_a_clip_does_not_depend_on_those_beside_it():
    c = cameras()
    values = draw(SENSORS["phone"], [4], c).values
    pair = Cameras(*(x.repeat_interleave(2, 0) for x in (c.world_from_camera, c.intrinsics)),
                   c.size, c.times.repeat(2, 1))  # fmt: skip
    both = draw(SENSORS["phone"], [9, 4], pair).values
    assert all(torch.equal(both[name][1:], value) for name, value in values.items())


def test_what_stands_is_as_sharp_with_the_shutter_open():
    w, c = world(speed=0.0), cameras()
    sharp = plain(w, c, samples=2)
    blurred = gather(w, c, optics(shutter=INTERVAL, readout=INTERVAL), bands=5, passes=8, samples=2)
    torch.testing.assert_close(blurred, sharp, rtol=0, atol=2e-6)


def test_a_streak_is_as_long_as_the_way_during_the_shutter():
    """A bar blurs over speed * shutter, keeps its light, and its middle stays where truth says."""
    w, c = world(), cameras(1)
    shutter, passes = 0.2, 64
    row = gather(w, c, optics(shutter=shutter), passes=passes)[0, 0, 24, :, 0]
    sharp = plain(w, c)[0, 0, 24, :, 0]
    depth = 4 - 0.01
    streak = FOCAL * SPEED * shutter / depth
    width = FOCAL * 0.5 / depth
    assert (row > 1e-6).sum().item() == pytest.approx(streak + width, abs=1.5)
    assert (row > 0.99 * sharp.max() * width / max(width, streak)).sum() > 0
    assert row.sum().item() == pytest.approx(
        plain(w, c, samples=8)[0, 0, 24, :, 0].sum().item(), rel=0.03
    )
    x = torch.arange(64) + 0.5
    assert (row * x).sum() / row.sum() == pytest.approx(32.0, abs=0.2)


def test_a_camera_that_turns_blurs_too():
    w, c = world(speed=0.0), cameras(3, turn=1.0)
    row = gather(w, c, optics(shutter=0.2), passes=32)[0, 1, 24, :, 0]
    width = FOCAL * (0.5 / 3.99 + 2 * math.tan(0.1))
    assert (row > 1e-6).sum().item() == pytest.approx(width, abs=2)


def test_a_rolling_shutter_shears_what_moves():
    w, c = world(), cameras(1)
    readout = 0.4
    picture = gather(w, c, optics(readout=readout), bands=48, passes=1)[0, 0, ..., 0]
    x, y = torch.arange(64) + 0.5, (torch.arange(48) + 0.5).double()
    middle = (picture * x).sum(dim=1) / picture.sum(dim=1)
    expected = 32 + FOCAL * SPEED * readout / 3.99 * ((y / 48) - 0.5)
    assert (middle - expected).abs().max() < 0.6  # a bar's middle is known to half a pixel
    slope = np.polyfit(y.numpy(), middle.double().numpy(), 1)[0]
    assert slope == pytest.approx(FOCAL * SPEED * readout / 3.99 / 48, rel=0.02)


def test_strips_are_the_picture_where_nothing_moves():
    w, c = world(speed=0.0), cameras(2)
    strips = gather(w, c, optics(readout=0.1), bands=7, passes=1)
    torch.testing.assert_close(strips, plain(w, c), rtol=0, atol=1e-6)


def test_a_lens_is_sharp_at_its_focus_and_blurs_the_rest_by_the_thin_lens():
    c = cameras(1)
    for depth, focus in ((4.0, 3.99), (4.0, 1.995), (2.0, 3.99)):
        w = world(speed=0.0, depth=depth)
        row = gather(w, c, optics(aperture=0.2, focus=focus), passes=32)[0, 0, 24, :, 0]
        near = depth - 0.01
        blur = 2 * FOCAL * 0.2 * abs(1 / near - 1 / focus)
        assert (row > 1e-6).sum().item() == pytest.approx(FOCAL * 0.5 / near + blur, abs=1.8)
        if blur < 1e-6:
            torch.testing.assert_close(row, plain(w, c)[0, 0, 24, :, 0])


def test_a_lens_bends_as_opencv_says():
    """A picture that is distorted and then undone by OpenCV is the pinhole's."""
    K, coefficients = pinhole(math.radians(80), SIZE), torch.tensor([-0.12, 0.02]).double()
    pixels = 64 * torch.rand(2, 50, generator=torch.Generator().manual_seed(0)).double()
    ahead = straightened(rays(pixels, K), coefficients)
    bent, _ = cv2.projectPoints(
        ahead.T.numpy(), np.zeros(3), np.zeros(3), K.numpy(), np.array([-0.12, 0.02, 0, 0])
    )
    np.testing.assert_allclose(bent[:, 0], pixels.T.numpy(), atol=1e-6)


def test_a_distorted_clip_comes_with_its_coefficients():
    """Lines bend in the picture, not in the truth, and by what the recording says."""
    w, c = world(speed=0.0), cameras(1)
    c = dataclasses.replace(c, world_from_camera=look_at(
        torch.zeros(1, 1, 3).double(), torch.tensor([[[-0.4, 1.0, 0.0]]]).double(),
        torch.zeros(1, 1).double(),
    ))  # fmt: skip
    recorded = record(w, c, Sensor(bulge=(-0.14, -0.14)), [1], samples=3)
    light = recorded.rendering.rgb[0, 0, ..., 0]
    x = torch.arange(64) + 0.5
    middle = (light * x).sum(dim=1) / light.sum(dim=1)
    assert middle[24] - middle[0] > 0.5  # a barrel's line to the right of the middle
    seen = (recorded.rendering.instance[0, 0] == 0).double()
    straight = (seen * x).sum(dim=1) / seen.sum(dim=1)
    assert (straight[24] - straight[0]).abs() < 0.6
    ahead = torch.tensor([[(straight[24].item() - 32) / FOCAL, 0.0, 1.0]], dtype=torch.float64)
    k = [*recorded.distortion[0].tolist(), 0, 0]
    bent, _ = cv2.projectPoints(
        ahead.numpy(), np.zeros(3), np.zeros(3), c.intrinsics[0, 0].numpy(), np.array(k)
    )
    assert middle[24].item() == pytest.approx(bent[0, 0, 0], abs=0.5)


def test_exposure_scales_light_and_jumps_at_once():
    c = cameras(9)
    sensor = Sensor(jump=(1.0, 1.0), jumps=1.0, exposure=(-2.0, -2.0))
    gain = draw(sensor, [0], c).development.gain[0]
    assert set(gain.tolist()) == {0.25, 0.5} and (gain.diff() != 0).sum() == 1
    light = torch.full((1, 9, 2, 2, 3), 0.5)
    how = draw(sensor, [0], c).development
    assert torch.equal(developed(light, how), developed(light * gain.float()[:, None, None, None],
                       draw(Sensor(), [0], c).development))  # fmt: skip
    drift = draw(Sensor(drift=(0.5, 0.5)), [0], c).development.gain[0].log2()
    assert drift[0] == 0 and 0.05 < drift.abs().max() <= 1 and drift.diff().abs().max() < 0.7


def test_white_balance_vignette_and_tone():
    c = cameras(2)
    white = draw(Sensor(warmth=(1.0, 1.0), tint=(0.5, 0.5)), [0], c).development.white[0, 0]
    assert white.log2().tolist() == pytest.approx([0.5, 0.5, -0.5])
    grey = torch.full((1, 2, 48, 64, 3), 0.5)
    plain_grey = developed(grey, draw(Sensor(), [0], c).development)
    dark = developed(grey, draw(Sensor(vignette=(0.5, 0.5)), [0], c).development)
    assert torch.allclose(dark[0, 0, 24, 32], plain_grey[0, 0, 0, 0], atol=1e-3)
    half = developed(grey / 2, draw(Sensor(), [0], c).development)
    assert torch.allclose(dark[0, 0, 0, 0], half[0, 0, 0, 0], atol=1e-2)
    steep = developed(grey / 2, draw(Sensor(contrast=(1.0, 1.0)), [0], c).development)
    assert (steep - half).sign().unique().tolist() == (half - 0.5).sign().unique().tolist()


def test_noise_grows_with_the_light():
    c = cameras(2)
    how = draw(Sensor(shot=(1e-3, 1e-3), read=(0.01, 0.01)), [0], c).development
    for level in (0.1, 0.4):
        light = torch.full((1, 2, 64, 64, 3), level)
        srgb = developed(light, how).double()
        linear = torch.where(srgb > 0.04045, ((srgb + 0.055) / 1.055) ** 2.4, srgb / 12.92)
        assert linear.mean().item() == pytest.approx(level, rel=0.01)
        assert linear.var().item() == pytest.approx(1e-3 * level + 1e-4, rel=0.05)


def test_h264_keeps_the_picture_and_costs_detail_by_its_rate_factor():
    generator = np.random.default_rng(0)
    soft = cv2.GaussianBlur(generator.uniform(0, 255, (49, 63, 3)), (0, 0), 3)
    soft = np.clip(128 + 4 * (soft - soft.mean()), 0, 255)
    frames = np.stack([np.roll(soft, shift, axis=1) for shift in range(5)]).astype(np.uint8)

    def psnr(crf: float) -> float:
        back = compressed(frames, crf, 30.0)
        assert back.shape == frames.shape
        return 10 * math.log10(255**2 / np.mean((back.astype(float) - frames) ** 2))

    assert psnr(18.0) > 30
    assert 18 < psnr(40.0) < 28


def test_the_encoder_repeats_itself():
    """x264 with B-frames gave small dark clips in several ways: found on frames like these."""
    noise = np.random.default_rng(0).normal(20, 6, (3, 48, 64, 3))
    noise[:, :, 26:38] += 150
    frames = noise.clip(0, 255).astype(np.uint8)
    first = compressed(frames, 30.0, 10.0)
    for i in range(25):
        memory = [
            np.full(999 * (i + k), i, np.uint8) for k in range(9)
        ]  # what it may read by fault
        assert np.array_equal(compressed(frames, 30.0, 10.0), first)
        del memory


def test_between_frames_a_camera_goes_on_smoothly():
    c = cameras(5, turn=0.7)
    c = dataclasses.replace(c, world_from_camera=c.world_from_camera.clone())
    c.world_from_camera[..., 0, 3] = 2 * c.times**2
    still = delayed(c, torch.zeros(1, 5, 1).double())
    assert torch.equal(still.world_from_camera, c.world_from_camera)
    later = delayed(c, torch.tensor([0.03, -0.04]).double().expand(1, 5, 2))
    angle = 0.7 * later.times
    forward = later.world_from_camera[..., :3, 2]
    expected = torch.stack([angle.sin(), angle.cos(), 0 * angle], dim=-1)
    torch.testing.assert_close(forward, expected)
    torch.testing.assert_close(later.world_from_camera[..., 0, 3], 2 * later.times**2)
    for frames in (1, 2):
        some = delayed(cameras(frames), torch.full((1, frames, 1), 0.01).double())
        assert some.world_from_camera.isfinite().all()


@pytest.mark.parametrize(
    "wrong",
    [{"shutter": (0.0, 1.5)}, {"read": (2.0, 1.0)}, {"crf": (20.0, 60.0)}, {"bulge": (-0.4, 0.0)},
     {"gamma": (0.0, 1.0)}, {"passes": 0}, {"shot": (-1.0, 0.0)}],
)  # fmt: skip
def test_settings_that_no_camera_has_are_said(wrong):
    with pytest.raises(InputError, match=r"sensor|lens"):
        Sensor(**wrong)


def test_each_clip_needs_a_seed():
    with pytest.raises(InputError, match="2 seeds for 1 clips"):
        record(world(), cameras(), Sensor(), [1, 2])
