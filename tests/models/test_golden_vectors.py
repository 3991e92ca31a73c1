"""Protects that a golden vector is compared tensor by tensor, and that a wrong one is noticed."""

import pytest
import torch

from worldline.models.golden.__main__ import main
from worldline.models.golden.vectors import Deviation, Golden, Recorder, deviations


def golden(**expected: torch.Tensor) -> Golden:
    named = {name.replace("_", ".", 1): tensor for name, tensor in expected.items()}
    return Golden("x", {}, {}, {}, {}, named, {"noisy": 1e-3})


def found(ours: dict[str, torch.Tensor], vectors: Golden) -> Deviation:
    (deviation,) = deviations(ours, vectors)
    return deviation


def test_a_tensor_within_the_tolerance_is_fine():
    vectors = golden(out_a=torch.tensor([0.0, 2.0]))
    near = found({"out.a": torch.tensor([1e-4, 2.0])}, vectors)
    assert near.fine and near.error == pytest.approx(5e-5)
    assert not found({"out.a": torch.tensor([0.0, 2.001])}, vectors).fine


def test_rounding_noise_widens_the_tolerance():
    vectors = golden(out_noisy=torch.tensor([1.0]))
    assert found({"out.noisy": torch.tensor([1.019])}, vectors).fine
    assert not found({"out.noisy": torch.tensor([1.021])}, vectors).fine


def test_further_calls_are_as_noisy_as_the_outputs_that_come_of_them():
    names = ("mid.track.b", "mid.track.b@call1", "mid.other.b@call1", "out.track_a")
    expected = {name: torch.tensor([2.0]) for name in names}
    vectors = Golden("x", {}, {}, {}, {}, expected, {"track_a": 1e-3})
    tolerances = [deviation.tolerance for deviation in deviations({}, vectors)]
    assert tolerances == pytest.approx([1e-4, 0.01, 1e-4, 0.01])


@pytest.mark.parametrize("ours", [None, torch.zeros(3), torch.tensor([float("nan"), 0.0])])
def test_a_missing_misshapen_or_undefined_tensor_is_off(ours):
    tensors = {} if ours is None else {"out.a": ours}
    assert not found(tensors, golden(out_a=torch.zeros(2))).fine


def test_further_calls_of_a_module_are_kept_apart():
    recorder, layer = Recorder(), torch.nn.Identity()
    recorder.record(layer, "mid.layer")
    for value in (1.0, 2.0):
        layer(torch.tensor(value))
    assert recorder.tensors == {
        "mid.layer": torch.tensor(1.0),
        "mid.layer@call1": torch.tensor(2.0),
    }


def test_what_cannot_be_read_is_said(tmp_path, capsys):
    assert main([]) == 2
    assert main([str(tmp_path / "none.json")]) == 2
    (tmp_path / "odd.json").write_text('{"network": "no such thing"}')
    assert main([str(tmp_path / "odd.json")]) == 2
    assert "there is no network 'no such thing'" in capsys.readouterr().err
