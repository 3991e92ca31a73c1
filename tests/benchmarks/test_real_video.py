"""The numbers that the benchmark prints, on pictures and scenes whose numbers are known."""

import dataclasses
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from scene_world import H, K, N, W, make_cameras, make_scene

from composites import Composite, make_composite
from metrics import ate_percent, flow_residual, path_numbers, scene_numbers
from plain_colmap import PlainCameras
from real_video import chosen_names, in_child, measure, plain_numbers, prepared
from results import Results
from sequences import Sequence, Truth, load_truth
from tables import print_report, summary
from worldline.errors import InputError
from worldline.scene import Scene, StillField
from worldline.selfcheck.residuals import predicted_flow

RED, GREEN = (0, 0, 255), (0, 255, 0)  # BGR


def write_frames(folder: Path, pictures: list[np.ndarray], kind: str = "frames") -> None:
    (folder / kind).mkdir(parents=True)
    for i, picture in enumerate(pictures):
        cv2.imwrite(str(folder / kind / f"{i:05d}.png"), picture)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Three red frames of 80x40 with cameras, and two of a green square of 10x10."""
    red = np.full((40, 80, 3), RED, np.uint8)
    write_frames(tmp_path / "room", [red] * 3)
    np.savez(tmp_path / "room" / "cameras.npz", K=np.eye(3), c2w=np.tile(np.eye(4), (3, 1, 1)))
    mask = np.zeros((30, 30), np.uint8)
    mask[5:15, 10:20] = 255
    green = np.where(mask[..., None] > 0, np.uint8(GREEN), np.uint8(0))
    write_frames(tmp_path / "square", [green] * 2)
    write_frames(tmp_path / "square", [mask] * 2, "masks")
    return tmp_path


def test_a_composite_has_the_object_where_it_should_be(data: Path):
    # 10x10 pixels are 1/8 of 20x40; at twice the size they cover 1/8 of 40x80
    out = make_composite(Composite("both", "room", "square", 1 / 8), data, data / "both")
    for i, centre in enumerate((20, 40, 60)):
        frame = cv2.imread(str(out / "frames" / f"{i:05d}.png"))
        mask = cv2.imread(str(out / "masks" / f"{i:05d}.png"), cv2.IMREAD_UNCHANGED)
        expected = np.zeros((40, 80), bool)
        expected[12:32, centre - 10 : centre + 10] = True
        assert (mask == np.where(expected, 255, 0)).all()
        assert (frame[expected] == GREEN).all() and (frame[~expected] == RED).all()
    assert (out / "cameras.npz").read_bytes() == (data / "room" / "cameras.npz").read_bytes()


def test_a_composite_is_the_bare_frame_where_the_object_is_gone(data: Path):
    write_frames(data / "gone", [np.zeros((30, 30, 3), np.uint8)] * 3)
    write_frames(data / "gone", [np.zeros((30, 30), np.uint8)] * 3, "masks")
    out = make_composite(Composite("bare", "room", "gone", 0.3), data, data / "bare")
    assert (cv2.imread(str(out / "frames" / "00001.png")) == RED).all()
    assert not cv2.imread(str(out / "masks" / "00001.png")).any()


def test_a_composite_that_is_there_is_not_made_again(data: Path):
    made = data / "made"
    made.mkdir()
    assert make_composite(Composite("made", "no such room", "square", 0.3), data, made) == made


def truth_of(scene: Scene) -> Truth:
    """Another scale and another world: the same scene."""
    poses = scene.cameras.world_from_camera.copy()
    poses[:, :3, 3] *= 3
    return Truth(
        world_from_camera=poses,
        focal=scene.cameras.intrinsics[:, [0, 1], [0, 1]],
        depth=3 * scene.depth,
        moving=scene.dynamic > 0.5,
        judged=np.ones(scene.dynamic.shape, bool),
    )


def test_a_scene_that_is_the_truth_has_no_error():
    scene = make_scene()
    numbers = scene_numbers(scene, truth_of(scene))
    for name in ("ate", "rpe_translation", "rpe_rotation", "focal_error", "abs_rel"):
        assert numbers[name] == pytest.approx(0, abs=1e-6)
    for name in ("delta", "measured", "mask_iou", "registered"):
        assert numbers[name] == 1
    assert numbers["moving"] == pytest.approx((scene.dynamic > 0.5).mean())


def test_what_is_not_known_is_nan():
    numbers = scene_numbers(make_scene(), Truth())
    unknown = {name for name, value in numbers.items() if np.isnan(value)}
    assert unknown == {
        *("ate", "rpe_translation", "rpe_rotation", "focal_error"),
        *("abs_rel", "delta", "measured", "mask_iou"),
    }


def test_each_fault_shows_in_its_number():
    scene = make_scene()
    truth = truth_of(scene)
    half = np.zeros((N, H, W), bool)
    half[:, : H // 2] = True
    faulty = dataclasses.replace(
        scene,
        confidence=np.where(half, scene.confidence, np.float32(0)),
        depth=np.where(half, scene.depth, np.float32(99)),
        dynamic=np.zeros_like(scene.dynamic),
    )
    numbers = scene_numbers(faulty, dataclasses.replace(truth, focal=truth.focal / 1.1))
    assert numbers["measured"] == 0.5 and numbers["abs_rel"] == pytest.approx(0, abs=1e-6)
    assert numbers["mask_iou"] == 0 and numbers["moving"] == 0
    assert numbers["focal_error"] == pytest.approx(10)
    nothing_there = dataclasses.replace(truth, judged=~truth.moving)
    assert scene_numbers(faulty, nothing_there)["mask_iou"] == 1


def test_path_errors_are_shares_of_the_whole_path():
    truth = np.tile(np.eye(4), (5, 1, 1))
    truth[:, :3, 3] = [[0, 0, 0], [1, 0, 0], [1, 1, 0], [2, 1, 0], [2, 1, 4]]  # 7 long
    wrong = truth.copy()
    wrong[4, :3, 3] = 50
    used = np.array([True, True, True, True, False])
    assert ate_percent(wrong, truth, used) == pytest.approx(0, abs=1e-9)
    assert ate_percent(wrong, truth, np.ones(5, bool)) > 1
    assert np.isnan(ate_percent(truth, truth, np.arange(5) < 2))
    still = np.tile(np.eye(4), (5, 1, 1))  # best put at the mean of the true positions
    spread = np.sqrt(((truth[:, :3, 3] - truth[:, :3, 3].mean(axis=0)) ** 2).sum(axis=1).mean())
    numbers = path_numbers(still, truth)
    assert numbers["ate"] == pytest.approx(100 * spread / 7)
    assert numbers["rpe_rotation"] == 0


def sliding_scene(textured, **changes: object) -> Scene:
    """A wall at distance 4 that slides by one pixel a frame, and the camera that explains it."""
    frames = np.stack([np.roll(textured(1, W, H)[0], -i, axis=1) for i in range(N)])
    cameras = make_cameras()
    poses = cameras.world_from_camera.copy()
    poses[:, 0, 3] = np.arange(N) * 4.0 / K[0, 0]
    scene = make_scene()
    parts = {
        "frames": frames,
        "cameras": dataclasses.replace(cameras, world_from_camera=poses),
        "depth": np.full((N, H, W), 4, np.float32),
        "dynamic": np.zeros((N, H, W), np.float32),
        "motion": StillField(H, W),
    }
    return dataclasses.replace(scene, **(parts | changes))


def test_flow_residual_is_nothing_where_scene_and_pictures_agree(textured):
    scene = sliding_scene(textured)
    uv, target, usable = predicted_flow(scene, 0, 2)
    assert target - uv == pytest.approx(np.broadcast_to([-2.0, 0.0], uv.shape), abs=1e-5)
    assert np.array_equal(usable, uv[:, 0] >= 2)  # what leaves the picture is not seen
    assert flow_residual(scene, 1) < 0.3
    too_near = sliding_scene(textured, depth=np.full((N, H, W), 1, np.float32))
    assert flow_residual(too_near, 1) == pytest.approx(3, abs=0.3)


def test_flow_residual_needs_measured_depth_only_where_the_camera_travels(textured):
    unmeasured = np.zeros((N, H, W), np.float32)
    assert np.isnan(flow_residual(sliding_scene(textured, confidence=unmeasured), 1))
    still = dataclasses.replace(make_cameras(), motion="still", world_from_camera=eyes())
    guessed = sliding_scene(textured, confidence=unmeasured, cameras=still)
    assert flow_residual(guessed, 1) == pytest.approx(1, abs=0.3)


def eyes() -> np.ndarray:
    return np.tile(np.eye(4), (N, 1, 1))


def test_truth_is_read_at_the_scene_s_size(tmp_path: Path):
    scene = make_scene()  # 48x36, made of 480x360
    np.savez(tmp_path / "cameras.npz", K=np.diag([500.0, 400.0, 1.0]), c2w=eyes())
    words = {"depth": "uint16 PNG, metres = value/5000, 0 = invalid"}
    (tmp_path / "meta.json").write_text(json.dumps(words))
    write_frames(tmp_path, [np.full((360, 480), 10000, np.uint16)] * N, "depth")
    labels = np.repeat(np.uint8([0, 50, 85, 170, 255]), 96)
    write_frames(tmp_path, [np.tile(labels, (360, 1))] * N, "masks")
    truth = load_truth(tmp_path, scene)
    assert (truth.focal == (50, 40)).all() and (truth.depth == 2).all()
    low = labels[4::10]
    assert (truth.moving == (low == 255)).all()
    assert (truth.judged == ~np.isin(low, (85, 170))).all()


def test_truth_is_bent_as_the_frames_were(tmp_path: Path):
    scene = make_scene()
    bent = dataclasses.replace(scene.cameras, distortion=(0.3, 0.0, 0.0, 0.0, 0.0))
    picture = np.zeros((H, W), np.uint8)
    picture[:, :4] = 255
    write_frames(tmp_path, [picture] * N, "masks")
    straight, undone = (
        load_truth(tmp_path, dataclasses.replace(scene, cameras=cameras))
        for cameras in (scene.cameras, bent)
    )
    assert straight.moving[0, 18, 3] and not straight.moving[0, 18, 4]
    assert undone.moving[0, 18, 4]  # the lens showed it farther out, at 3.6 px
    assert straight.judged.all() and not undone.judged[0, 0, 0]  # beyond the picture's edge


def test_plain_cameras_are_judged_on_the_frames_they_have():
    truth = np.tile(np.eye(4), (4, 1, 1))
    truth[:, :3, 3] = [[0, 0, 0], [1, 0, 0], [1, 1, 0], [9, 9, 9]]
    found = PlainCameras(truth, np.array([True, True, True, False]), 110.0)
    numbers = plain_numbers(found, {"c2w": truth, "K": np.diag([100.0, 100.0, 1.0])})
    assert numbers == {
        "registered": 0.75,
        "ate": pytest.approx(0, abs=1e-9),
        "focal_error": pytest.approx(10),
    }
    assert plain_numbers(found, {}) == {"registered": 0.75}


def test_sequences_are_chosen_by_name(data: Path):
    for name in ("nerf_fox", "davis_parkour"):
        write_frames(data / name, [np.zeros((8, 8, 3), np.uint8)])
    assert chosen_names(data, ()) == ["davis_parkour", "nerf_fox", "room", "square", "fox_park"]
    assert chosen_names(data, ("square", "room")) == ["room", "square"]
    with pytest.raises(InputError, match="fr1_camel"):
        chosen_names(data, ("fr1_camel",))  # its parts are not there
    assert prepared("room", data, data).source == data / "room" / "frames"


def test_results_hold_what_was_measured_by_the_same_code(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("real_video.in_child", lambda function, *given: function(*given))
    path, calls = tmp_path / "results.json", []

    def count(number: float) -> dict[str, float]:
        calls.append(number)
        return {"ate": number / number if number else float("nan")}

    def fail() -> dict[str, float]:
        calls.append(-1.0)
        raise MemoryError("too large")

    room = Sequence("room", tmp_path)
    measure(Results(path), room, "ours", "a", count, 1.0)
    measure(Results(path), room, "ours", "a", count, 2.0)  # held
    measure(Results(path), room, "ours", "b", count, 0.0)  # other code
    assert calls == [1.0, 0.0] and Results(path).sequences["room"]["ours"]["ate"] is None
    for _ in range(2):  # a failure is tried again
        measure(Results(path), room, "pycolmap", "a", fail)
    assert len(calls) == 4
    assert Results(path).sequences["room"]["pycolmap"]["error"] == "MemoryError: too large"
    path.write_text("[]")
    with pytest.raises(InputError, match="no results"):
        Results(path)


def test_a_child_process_answers():
    assert in_child(dict, [("ate", 1.0)]) == {"ate": 1.0}


def entries(ate: float, plain: float | None) -> dict[str, dict[str, object]]:
    ours = {"ate": ate, "mask_iou": 0.5, "moving": 0.1, "commit": "abc", "rung": "free"}
    return {"ours": ours, "pycolmap": {"ate": plain} if plain else {"error": "no model"}}


def test_the_summary_is_over_what_misleads_pycolmap(capsys):
    sequences = {
        "tum_fr1_xyz": entries(1, 1),
        "nerf_fox": entries(1, 1),
        "fr1_horse": entries(1, 4),
        "fr1_camel": entries(4, 4),
        "fox_park": entries(1, 1.9),
        "fox_horse": entries(1, None),
    }
    ratio, hard, clips, composites, moving = summary(sequences).values()
    assert ratio == pytest.approx(0.5) and hard == 2
    assert clips is None and composites is None and moving is None  # not all are measured
    print_report(sequences, "a machine")
    shown = capsys.readouterr().out
    assert "| fr1_horse " in shown and "fox_horse, pycolmap: no model" in shown
    assert "worldline abc; a machine" in shown
