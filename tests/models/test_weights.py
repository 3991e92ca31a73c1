"""Files of weights become networks, exactly; what does not fit or is damaged is said clearly."""

import argparse
import json
import logging
import pickle
import shutil

import fake_networks
import pytest
import torch
from fake_networks import (
    CHECKPOINT,
    NETWORK,
    Fake,
    FakeConfig,
    Other,
    OtherConfig,
    Pair,
    PairConfig,
    published,
)
from safetensors.torch import load_file, save_file

import worldline
from worldline.errors import InputError, StorageError
from worldline.models.download import file_sha256, place
from worldline.models.golden.vectors import read
from worldline.models.registry import CHECKPOINTS, NETWORKS
from worldline.models.weights import load, save_weights


@pytest.fixture(autouse=True)
def with_fakes(monkeypatch, tmp_path):
    monkeypatch.setitem(NETWORKS, "fake", NETWORK)
    monkeypatch.setitem(CHECKPOINTS, "fake", CHECKPOINT)
    monkeypatch.setenv("WORLDLINE_WEIGHTS", str(tmp_path / "weights"))


@pytest.fixture
def network():
    torch.manual_seed(0)
    return Fake(FakeConfig())


def kept(state):
    """What a safetensors file may hold of a state: one name of each tensor."""
    return {name: tensor.clone() for name, tensor in state.items() if name != "tail.weight"}


def same(found, network):
    ours, theirs = found.state_dict(), network.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[n], theirs[n]) for n in ours)


def test_what_is_saved_is_loaded_whatever_its_sizes(tmp_path, network):
    pair = Pair(PairConfig(FakeConfig(2, (3, 1))))
    for each in (network, Fake(FakeConfig(5, (7,))), Other(OtherConfig(3)), pair):
        save_weights(each, tmp_path / "w.safetensors")
        found = load(tmp_path / "w.safetensors")
        assert type(found) is type(each) and found.config == each.config and same(found, each)
        assert not found.training and not any(p.requires_grad for p in found.parameters())
    assert list(tmp_path.iterdir()) == [tmp_path / "w.safetensors"]  # nothing is left behind


def test_published_names_and_sizes_are_recognised(tmp_path, network):
    save_file(published(kept(network.state_dict())), tmp_path / "w.safetensors")
    found = worldline.load(tmp_path / "w.safetensors")
    assert isinstance(found, Fake) and same(found, network)
    assert found.provenance.network == "fake" and found.provenance.name == "fake-small"


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("under", [None, "model", "state_dict"])
def test_torch_files_are_read_flat_or_one_level_down(tmp_path, network, under, zipped):
    state = published(network.state_dict())
    content = {under: state, "args": argparse.Namespace(lr=1), "epoch": 3} if under else state
    torch.save(content, tmp_path / "w.pth", _use_new_zipfile_serialization=zipped)
    assert same(load(tmp_path / "w.pth"), network)


def test_either_name_of_a_shared_tensor_will_do_and_it_stays_one(tmp_path, network):
    for left_out in ("head.weight", "tail.weight"):
        state = {n: t.clone() for n, t in network.state_dict().items() if n != left_out}
        save_file(state, tmp_path / "w.safetensors")
        found = load(tmp_path / "w.safetensors", dtype=torch.float64)
        assert torch.equal(found.head.weight, network.head.weight.double())
        assert found.head.weight.data_ptr() == found.tail.weight.data_ptr()


def test_floats_get_the_dtype_asked_for_and_integers_keep_theirs(tmp_path, network):
    state = {n: t.half() if t.is_floating_point() else t for n, t in network.state_dict().items()}
    save_file(kept(state), tmp_path / "w.safetensors")
    assert load(tmp_path / "w.safetensors").head.weight.dtype == torch.float32
    found = load(tmp_path / "w.safetensors", dtype=torch.bfloat16)
    assert found.head.bias.dtype == torch.bfloat16 and found.steps.dtype == torch.int64
    assert torch.equal(found.head.bias, network.head.bias.half().bfloat16())


def test_weights_are_mapped_and_writing_to_them_leaves_the_file_alone(tmp_path, network):
    save_weights(network, tmp_path / "w.safetensors")
    before = file_sha256(tmp_path / "w.safetensors")
    found = load(tmp_path / "w.safetensors")
    storages = {p.untyped_storage().data_ptr() for p in found.parameters()}
    assert len(storages) < len(list(found.parameters()))  # views of one mapping
    found.head.weight.zero_()
    assert file_sha256(tmp_path / "w.safetensors") == before


def test_what_does_not_fit_is_named(tmp_path, network):
    state = published(kept(network.state_dict()))
    del state["module.head.bias"]
    state["module.layers_1.weight"] = torch.zeros(9, 4)
    state["module.surplus"] = torch.zeros(1)
    save_file(state, tmp_path / "w.safetensors")
    with pytest.raises(InputError) as said:
        load(tmp_path / "w.safetensors", sizes="fake-small")
    assert "missing: head.bias" in str(said.value)
    assert "unexpected: module.surplus" in str(said.value)
    assert "of another shape: module.layers_1.weight (9x4, not 2x4)" in str(said.value)
    with pytest.raises(InputError, match="fits no network that there is; the nearest is fake-"):
        load(tmp_path / "w.safetensors")


def test_many_misfits_are_counted_and_other_sizes_that_fit_are_told(tmp_path):
    large = Fake(FakeConfig(8, (2, 2, 2)))
    save_file(kept(large.state_dict()), tmp_path / "w.safetensors")
    with pytest.raises(InputError, match=r"and 2 more; it fits fake-large$"):
        load(tmp_path / "w.safetensors", sizes="fake-small")


def test_sizes_that_several_networks_have_must_be_said(tmp_path, network, monkeypatch):
    twin = FakeConfig(depths=(1, 2, 0))
    monkeypatch.setattr(Fake, "__init__", cut_depths(Fake.__init__))
    monkeypatch.setitem(fake_networks.PUBLISHED, "fake-twin", twin)
    save_file(kept(network.state_dict()), tmp_path / "w.safetensors")
    with pytest.raises(InputError, match="fits fake-small, fake-twin: say which"):
        load(tmp_path / "w.safetensors")
    assert load(tmp_path / "w.safetensors", sizes="fake-twin").config == twin
    with pytest.raises(InputError, match="there are no sizes 'huge'"):
        load(tmp_path / "w.safetensors", sizes="huge")


def cut_depths(init):
    def build(self, config):
        init(self, FakeConfig(config.width, config.depths[:2]))
        self.config = config

    return build


def test_tensors_left_out_on_purpose_are_noted_once(tmp_path, network, caplog):
    state = published(kept(network.state_dict())) | {"loss.scale": torch.ones(1)}
    save_file(state, tmp_path / "w.safetensors")
    with caplog.at_level(logging.INFO, "worldline"):
        assert same(load(tmp_path / "w.safetensors"), network)
    notes = [r.getMessage() for r in caplog.records if "left out" in r.getMessage()]
    assert len(notes) == 1 and "loss.scale" in notes[0]


def test_two_names_of_one_tensor_must_agree(tmp_path, network):
    state = published(network.state_dict())
    state["tail.bias"] = state["module.tail.bias"].clone()
    torch.save(state, tmp_path / "w.pth")
    assert same(load(tmp_path / "w.pth"), network)
    state["tail.bias"] += 1
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(InputError, match="has other values"):
        load(tmp_path / "w.pth")


def test_a_folder_is_its_one_file_with_the_config_beside_it(tmp_path):
    network = Fake(FakeConfig(3, (4, 5)))  # no published sizes
    save_weights(network, tmp_path / "w.safetensors")
    state = load_file(tmp_path / "w.safetensors")
    folder = tmp_path / "folder"
    folder.mkdir()
    save_file(state, folder / "anything.safetensors")
    with pytest.raises(InputError, match="fits no network"):
        load(folder)
    config = {"network": "fake", "sizes": "FakeConfig", "config": {"width": 3, "depths": [4, 5]}}
    (folder / "config.json").write_text(json.dumps(config))
    assert same(load(folder), network)
    (folder / "config.json").write_text(json.dumps(config | {"config": {"widht": 3}}))
    with pytest.raises(InputError, match=r"anything\.safetensors: its description"):
        load(folder)
    (folder / "config.json").write_text('{"model_type": "of others"}')
    with pytest.raises(InputError, match="fits no network"):
        load(folder)
    (folder / "second.pth").touch()
    with pytest.raises(InputError, match=r"there is: anything\.safetensors, second\.pth"):
        load(folder)
    shutil.copy(tmp_path / "w.safetensors", folder / "model.safetensors")
    assert same(load(folder), network)


def test_a_published_checkpoint_says_its_licence_and_where_it_comes_from(network, caplog):
    with pytest.raises(InputError, match=r"non-commercial.*run: worldline download fake$"):
        load("fake")
    with pytest.raises(InputError, match="run: worldline download hub:them/thing"):
        load("hub:them/thing")
    file = place(CHECKPOINT.source).file
    file.parent.mkdir(parents=True)
    save_file(published(kept(network.state_dict())), file)
    with caplog.at_level(logging.INFO, "worldline"):
        found = load("fake")
    assert same(found, network) and "CC-BY-NC-4.0 (non-commercial)" in caplog.text
    record = found.provenance.record()
    assert record["name"] == "fake" and record["source"] == CHECKPOINT.source
    assert record["sha256"] == file_sha256(file)
    assert same(load("hub:them/fake"), network)


class Code:
    def __reduce__(self):
        return exec, ("raise SystemExit",)


def test_files_that_are_no_weights_are_refused(tmp_path, network):
    def refused(name, error, match, content=b""):
        file = tmp_path / name
        if content:
            file.write_bytes(content)
        with pytest.raises(error, match=match):
            load(file)

    save_weights(network, tmp_path / "w.safetensors")
    torch.save(network.state_dict(), tmp_path / "w.pth")
    for name in ("w.safetensors", "w.pth"):
        whole = (tmp_path / name).read_bytes()
        refused(f"cut.{name}", (StorageError, InputError), "cut.w", whole[:-40])
        refused(f"short.{name}", (StorageError, InputError), "short.w", whole[:40])
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"
    refused("pointer.safetensors", StorageError, "damaged or no file of weights", pointer)
    refused("pointer.pth", InputError, "no plain file of weights", pointer)
    refused("code.pth", InputError, "never run", pickle.dumps({"w": Code()}, protocol=2))
    torch.save(Code(), tmp_path / "code.pt")
    refused("code.pt", InputError, "never run")
    torch.save({"model": {"a": 1}}, tmp_path / "plain.pt")
    refused("plain.pt", InputError, "holds no weights")
    refused("w.bin", InputError, "weights are read from", b"x")
    refused("nowhere.pth", InputError, "no published checkpoint")


def test_only_registered_networks_are_saved(tmp_path, network):
    with pytest.raises(InputError, match="is no network"):
        save_weights(torch.nn.Linear(2, 2), tmp_path / "w.safetensors")
    with pytest.raises(InputError, match=r"saved as \.safetensors"):
        save_weights(network, tmp_path / "w.pth")


def test_every_checkpoint_names_a_network_and_a_place():
    for name, checkpoint in CHECKPOINTS.items():
        assert name == checkpoint.name and checkpoint.network in NETWORKS
        assert place(checkpoint.source).file.suffix in (".safetensors", ".pth", ".pt")
        if NETWORKS[checkpoint.network].there:
            assert checkpoint.sizes in NETWORKS[checkpoint.network].module.PUBLISHED
    assert len({place(checkpoint.source).file for checkpoint in CHECKPOINTS.values()}) == len(
        CHECKPOINTS
    )


def test_a_network_as_it_is_published_is_loaded_tensor_by_tensor(golden_file, tmp_path):
    golden = read(golden_file("raft_small"))
    if not NETWORKS["raft"].there:
        pytest.skip("there is no raft yet")
    halves = {f"module.{name}": tensor.half() for name, tensor in golden.weights.items()}
    torch.save(halves, tmp_path / "raft-small.pth", _use_new_zipfile_serialization=False)
    network = load(tmp_path / "raft-small.pth")
    assert network.provenance.network == "raft" and network.config.small
    rename = NETWORKS["raft"].module.renamed
    state = network.state_dict()
    for name, tensor in golden.weights.items():
        assert torch.equal(state[rename(name)], tensor)
    save_weights(network, tmp_path / "ours.safetensors")
    assert same(load(tmp_path / "ours.safetensors"), network)
