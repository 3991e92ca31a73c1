"""The page to give away: it asks for nothing, and holds the scene."""

import base64
import dataclasses
import json
import re

import numpy as np
import pytest

from worldline.errors import InputError
from worldline.viewer.page import record, write_page
from worldline.viewer.placement import place


@pytest.fixture(scope="module")
def html(scene, tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("page") / "page.html"
    write_page(scene, path, max_points=4000)
    return path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def data(html) -> dict:
    found = re.search(r"const scene = (\{.*\});\n", html)
    assert found is not None
    return json.loads(found.group(1))


def places(data: dict, name: str) -> np.ndarray:
    steps = np.frombuffer(base64.b64decode(data[name]), "<u2").reshape(-1, 3)
    return data["low"] + steps / 65535 * np.array(data["span"])


def test_the_page_refers_to_nothing_outside(html):
    assert not re.search(r"https?:|//\w+\.\w+|\bimport\b|fetch\(|XMLHttp|WebSocket|@import", html)
    assert "default-src 'none'" in html


def test_the_page_has_the_points_to_quantisation(scene, data):
    step = np.array(data["span"]) / 65535
    chosen = record(scene, place(scene), 4000)
    static, moving = places(data, "static"), places(data, "moving")
    assert (np.abs(static - chosen.static) <= 0.51 * step + 1e-6).all()
    assert (np.abs(moving.reshape(chosen.moving.shape) - chosen.moving) <= 0.51 * step + 1e-6).all()
    assert len(static) + chosen.moving.shape[1] <= 4000
    for k, i in enumerate(data["sources"]):
        kept = chosen.moving[:, chosen.moving_starts[k] : chosen.moving_starts[k + 1]]
        truth = scene.pointmap(i, at=data["times"])[:, scene.dynamic[i] > 0.5]
        apart = np.abs(truth[:, None] - kept[:, :9, None]).sum(-1).max(0)
        assert (apart.min(axis=-1) < 1e-4).all()  # each is a pixel's point at all times


def test_what_stands_still_has_one_place(scene, data):
    moving = places(data, "moving").reshape(len(data["times"]), -1, 3)
    assert (np.abs(moving - moving[:1]).max(axis=(0, 2)) > 1e-3).mean() > 0.99
    assert data["staticStarts"][-1] > data["movingStarts"][-1]


def test_a_title_cannot_end_the_script(scene, tmp_path):
    named = dataclasses.replace(scene, provenance={"source": "</script><b>"})
    write_page(named, tmp_path / "page.html", max_points=100)
    assert "</script><b>" not in (tmp_path / "page.html").read_text()


def test_a_scene_of_unknown_depth_is_refused(scene, tmp_path):
    blind = dataclasses.replace(scene, depth=np.full_like(scene.depth, np.nan))
    with pytest.raises(InputError, match="unknown"):
        write_page(blind, tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()
