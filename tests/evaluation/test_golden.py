"""The golden runner finds what is off and says what it cannot read."""

import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from safetensors.numpy import save_file

from worldline.errors import InputError
from worldline.evaluation.golden import main

NAME = "worldline.evaluation.goldens.made_up"


@pytest.fixture
def family(monkeypatch) -> ModuleType:
    """A family whose one number is the sum of what comes in."""
    module = ModuleType(NAME)
    module.__spec__ = sys.modules["json"].__spec__  # any: it only has to be found

    def numbers(tensors, params, expected):
        total = float(tensors["x"].sum()) + params.get("more", 0.0)
        return {"sum": total, "parts": [total, {"nan": float("nan")}], "out.x": tensors["x"]}

    module.numbers, module.TOLERANCE = numbers, 1e-5
    monkeypatch.setitem(sys.modules, NAME, module)
    return module


def write(folder: Path, expected, params=None, out=None) -> str:
    file = folder / "metrics_made_up.json"
    case = {"params": params or {}, "expected": expected}
    file.write_text(json.dumps({"cases": {"one": case}}))
    tensors = {"one.x": np.arange(4.0), "onefold.x": np.ones(3)}
    save_file(
        tensors | ({} if out is None else {"one.out.x": out}), folder / f"{file.stem}.safetensors"
    )
    return str(file)


@pytest.mark.parametrize(
    ("expected", "status"),
    [
        ({"sum": 6.0, "parts": [6.0, {"nan": "nan"}]}, 0),
        ({"sum": 6.00005}, 0),
        ({"sum": 6.0001}, 1),
        ({"sum": "nan"}, 1),
        ({"parts": [6.0, {"nan": "inf"}]}, 1),
        ({"parts": [6.0, {"nan": "nan"}, {"more": 1.0}]}, 1),
        ({"another": 6.0}, 1),
    ],
)
def test_tells_equal_from_off(family, tmp_path, capsys, expected, status):
    assert main([write(tmp_path, expected)]) == status
    assert capsys.readouterr().out.startswith("OFF" if status else "ok")


def test_params_and_expected_tensors_count(family, tmp_path):
    assert main([write(tmp_path, {"sum": 7.0}, {"more": 1.0}, np.arange(4.0))]) == 0
    assert main([write(tmp_path, {"sum": 6.0}, out=np.arange(4.0) + 1e-3)]) == 1
    assert main([write(tmp_path, {"sum": 6.0}, out=np.arange(5.0))]) == 1


def test_a_tolerance_of_its_own_for_an_entry(family, tmp_path):
    family.tolerance = lambda path: 1e-2 if path == ("sum",) else 1e-5
    assert main([write(tmp_path, {"sum": 6.01})]) == 0


def test_a_case_that_our_metrics_refuse_is_off_and_the_others_go_on(family, tmp_path, capsys):
    def numbers(tensors, params, expected):
        raise InputError("no point is visible")

    family.numbers = numbers
    assert main([write(tmp_path, {"sum": 6.0})]) == 1
    assert "no point is visible" in capsys.readouterr().out


def test_what_cannot_be_read_is_told(family, tmp_path, capsys):
    assert main([]) == 2
    assert main([str(tmp_path / "metrics_unknown_thing.json")]) == 2
    assert "no metrics named 'unknown_thing'" in capsys.readouterr().err
    assert main([str(tmp_path / "metrics_made_up.json")]) == 2
    file = write(tmp_path, {})
    Path(file).write_text("{")
    assert main([file]) == 2
    Path(file).write_text('{"cases": {"one": {}}}')
    assert main([file]) == 2
