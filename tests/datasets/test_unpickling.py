"""Pickles from the internet are read as data: what is in them is never run."""

import io
import os
import pickle
from collections import OrderedDict

import numpy as np
import pytest

from worldline.datasets.unpickling import array_shapes, arrays, unpickled
from worldline.errors import InputError


@pytest.mark.parametrize("protocol", range(6))
def test_arrays_numbers_and_text_come_through_every_protocol(tmp_path, protocol):
    content = OrderedDict(
        a=np.arange(6, dtype=np.float32).reshape(2, 3).T,
        b=[1, 2.5, "text", b"\x00\xffbytes", None, True],
        c=np.float64(0.25),
        d=np.array([b"one", b"three"], dtype=object),
        e=np.zeros((0, 2), bool),
        f={"nested": (np.uint8(3), ["x"])},
    )
    file = tmp_path / "x.pkl"
    file.write_bytes(pickle.dumps(content, protocol=protocol))
    back = unpickled(file)
    assert list(back) == list(content) and (back["a"] == content["a"]).all()
    assert all(back[name] == content[name] for name in "bcf")
    assert back["d"].tolist() == [b"one", b"three"]
    assert back["e"].shape == (0, 2) and back["e"].dtype == bool


class Runs:
    """Pickles to a call of anything."""

    def __init__(self, call, *arguments):
        self.call, self.arguments = call, arguments

    def __reduce__(self):
        return self.call, self.arguments


@pytest.mark.parametrize(
    "evil",
    [
        Runs(os.system, "touch {}"),
        Runs(eval, "__import__('os').system('touch {}')"),
        Runs(np.load, "{}"),
        Runs(np.ndarray, (4,), np.dtype("O"), b"\x41" * 32),
        Runs(getattr, "text", "upper"),
    ],
    ids=["system", "eval", "np.load", "ndarray", "getattr"],
)
@pytest.mark.parametrize("place", ["pickle", "npz"])
def test_what_would_run_is_refused(tmp_path, evil, place):
    trace = tmp_path / "trace"
    named = tuple(one.format(trace) if isinstance(one, str) else one for one in evil.arguments)
    content = Runs(evil.call, *named)
    if place == "pickle":
        file = tmp_path / "x.pkl"
        file.write_bytes(pickle.dumps({"video": content}))
        with pytest.raises(InputError, match="is not loaded"):
            unpickled(file)
    else:
        file = tmp_path / "x.npz"
        holder = np.empty(1, dtype=object)
        holder[0] = content
        np.savez(file, images=holder)
        with pytest.raises(InputError, match="is not loaded"):
            arrays(file, ["images"])
    assert not trace.exists()


def test_broken_files_are_one_clear_line(tmp_path):
    file = tmp_path / "x.pkl"
    for data in (b"", b"\x80\x04garbage", pickle.dumps(np.arange(99))[:60]):
        file.write_bytes(data)
        with pytest.raises(InputError, match=r"x\.pkl"):
            unpickled(file)
    with pytest.raises(InputError, match="is missing"):
        unpickled(tmp_path / "none.pkl")
    with pytest.raises(InputError, match="cannot be read as an npz"):
        arrays(file, ["a"])


def test_npz_headers_tell_shapes_and_absent_arrays_are_left_out(tmp_path):
    file = tmp_path / "x.npz"
    np.savez(file, a=np.zeros((2, 3)), b=np.array([b"1", None], dtype=object))
    assert array_shapes(file) == {"a": (2, 3), "b": (2,)}
    assert set(arrays(file, ["a", "c"])) == {"a"}
    assert arrays(file, ["b"])["b"].tolist() == [b"1", None]
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(3))
    (tmp_path / "y.npz").write_bytes(buffer.getvalue())  # an npy by another name
    with pytest.raises(InputError, match="cannot be read as an npz"):
        array_shapes(tmp_path / "y.npz")
