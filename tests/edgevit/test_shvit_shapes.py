"""Test the model made here: its net, its shipped weights and card, and the recipe that makes them."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from edgevit import weights
from edgevit.errors import UsageError, WeightsError
from edgevit.models.shapes import IMAGE, NAME, SPEC, build, load
from edgevit.scenes.shapes import DEMO_SEED, LABELS, TEST_SEED, TRAIN_SEED, render
from edgevit.training import shapes as training
from edgevit.training.augment import augment, normalise
from edgevit.training.card import accuracy_table, predict, write_weights
from edgevit.training.recipe import Recipe, Run, learn
from edgevit.training.renders import render_many

TINY = Recipe(steps=6, threads=1, images=60, batch=20, checkpoint_s=1e9)


@pytest.fixture(autouse=True)
def _threads() -> Any:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def _planes(count: int, seed: int = DEMO_SEED) -> tuple[torch.Tensor, torch.Tensor]:
    pictures, labels = render_many(count, seed=seed)
    return torch.from_numpy(pictures), torch.from_numpy(labels)


def test_net_is_small_and_takes_a_head_of_any_size() -> None:
    net = build()
    assert sum(p.numel() for p in net.parameters()) < 500_000
    assert net(torch.zeros(2, 3, 96, 96)).shape == (2, 10)
    assert build(7)(torch.zeros(2, 3, 96, 96)).shape == (2, 7)


def test_fused_net_answers_the_same() -> None:
    from timm.utils.model import reparameterize_model

    net = load(weights.weights_path(NAME))
    inputs = normalise(_planes(8)[0], IMAGE.mean, IMAGE.std)
    with torch.inference_mode():
        plain, fused = net(inputs), reparameterize_model(net)(inputs)
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in reparameterize_model(net).modules())
    assert float((plain - fused).abs().max() / plain.abs().max()) < 1e-4


def test_shipped_weights_are_right_on_held_out_renders() -> None:
    pictures, labels = _planes(500, TEST_SEED)
    answers = predict(load(weights.weights_path(NAME)), pictures, IMAGE.mean, IMAGE.std)
    assert float((answers == labels).float().mean()) >= 0.96


def test_shipped_weights_are_calm_in_half_precision() -> None:
    """No activation comes near the end of fp16, so that the fp16 formats are safe."""
    net = load(weights.weights_path(NAME))
    largest: list[float] = []
    for module in net.modules():
        module.register_forward_hook(lambda m, i, out: largest.append(float(out.abs().max())))
    with torch.inference_mode():
        net(normalise(_planes(40)[0], IMAGE.mean, IMAGE.std))
    assert max(largest) < 1000


def test_card_tells_the_truth() -> None:
    card = weights.card(NAME)
    path = weights.weights_path(NAME)
    assert weights.shipped()[NAME] == card
    assert path.stat().st_size == card.bytes < 1_000_000
    assert card.parameters == sum(p.numel() for p in build().parameters())
    assert card.labels == LABELS == SPEC.labels
    assert card.details["spec"] == json.loads(json.dumps(SPEC.to_dict()))
    assert card.accuracy >= 0.97
    assert card.details["accuracy"]["test_2000"] >= 0.97
    assert min(card.details["accuracy"]["per_class"].values()) >= 0.9
    assert all(t.dtype == torch.float16 for t in load_file(path).values())
    spent = card.details["training"]
    assert spent["recipe"]["threads"] == spent["machine"]["cores"] == 2
    assert spent["wall_s"] <= 15 * 60


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for path in (weights.weights_path(NAME), weights.FOLDER / f"{NAME}.json"):
        shutil.copy(path, tmp_path)
    return tmp_path


def test_damaged_weights_are_refused(folder: Path) -> None:
    path = folder / f"{NAME}.safetensors"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(WeightsError, match="not those of their card"):
        weights.weights_path(NAME, folder)
    path.write_bytes(data[:1000])
    with pytest.raises(WeightsError, match="1000 bytes"):
        weights.weights_path(NAME, folder)
    path.unlink()
    with pytest.raises(WeightsError, match="missing"):
        weights.weights_path(NAME, folder)


@pytest.mark.parametrize("name", ["levit_128s", "", "../shvit_shapes", "weights/shvit_shapes"])
def test_unknown_weights_name_the_known(name: str, folder: Path) -> None:
    with pytest.raises(WeightsError, match="Shipped: shvit_shapes"):
        weights.card(name, folder)


@pytest.mark.parametrize(
    "change", [{"sha256": None}, {"labels": 3}, {"measure": "taste"}, {"accuracy": {}}, {"bytes": "many"}, "not json"]
)
def test_broken_card_is_refused(change: Any, folder: Path) -> None:
    path = folder / f"{NAME}.json"
    data = json.loads(path.read_text())
    if isinstance(change, dict):
        for key, value in change.items():
            if value is None:
                del data[key]
            else:
                data[key] = value
    path.write_text(change if isinstance(change, str) else json.dumps(data))
    with pytest.raises(WeightsError, match="cannot be read"):
        weights.card(NAME, folder)


@pytest.mark.parametrize("change", [{"name": "other"}, {"file": "../other.safetensors"}])
def test_card_of_another_model_is_refused(change: dict[str, str], folder: Path) -> None:
    path = folder / f"{NAME}.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(WeightsError, match="expected 'shvit_shapes'"):
        weights.card(NAME, folder)


def test_bundle_is_found_only_when_sealed(folder: Path) -> None:
    assert weights.bundle_path(NAME, folder) is None
    sealed = folder / f"{NAME}-onnx-fp32"
    sealed.mkdir()
    assert weights.bundle_path(NAME, folder) is None
    (sealed / "manifest.json").write_text("{}")
    assert weights.bundle_path(NAME, folder) == sealed


def test_weights_of_another_net_are_refused(tmp_path: Path) -> None:
    save_file({"head.l.bias": torch.zeros(10), "other": torch.zeros(3)}, tmp_path / "other.safetensors")
    with pytest.raises(WeightsError, match="not of shvit_shapes"):
        load(tmp_path / "other.safetensors")
    (tmp_path / "noise.safetensors").write_bytes(b"\x00" * 40)
    for name in ("noise.safetensors", "none.safetensors"):
        with pytest.raises(WeightsError, match="cannot be read"):
            load(tmp_path / name)


def test_rounded_weights_come_back(tmp_path: Path) -> None:
    net = build(4).eval()
    _, size = write_weights(net, tmp_path / "a.safetensors")
    assert size == (tmp_path / "a.safetensors").stat().st_size
    again = load(tmp_path / "a.safetensors").state_dict()
    for name, tensor in net.state_dict().items():
        assert name.endswith("num_batches_tracked") or torch.equal(tensor.half().float(), again[name]), name
    with torch.no_grad():
        next(net.parameters()).fill_(float("nan"))
    with pytest.raises(ValueError, match="patch_embed"):
        write_weights(net, tmp_path / "b.safetensors")
    assert not (tmp_path / "b.safetensors").exists()


def test_workers_render_what_one_process_does() -> None:
    alone, labels = render_many(600, seed=3)
    together, same = render_many(600, seed=3, workers=2)
    assert (alone == together).all()
    assert (labels == same).all()


def test_augmentation_is_seeded_and_keeps_grey_levels() -> None:
    pictures, _ = _planes(16, TRAIN_SEED)
    one, same, other = (augment(pictures, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert one.shape == pictures.shape
    assert 0 <= float(one.min()) <= float(one.max()) <= 255


def test_normalised_planes_are_what_the_contract_says() -> None:
    """The training sees what the runtimes will feed: (pixel / 255 - mean) / std, planes first, in RGB."""
    pictures, _ = _planes(2)
    inputs = normalise(pictures, IMAGE.mean, IMAGE.std)
    picture = render(1)[0].astype(np.float64)
    wanted = (picture / 255 - np.array(IMAGE.mean)) / np.array(IMAGE.std)
    assert np.abs(inputs[1].numpy() - wanted.transpose(2, 0, 1)).max() < 1e-6


def test_accuracy_table_counts() -> None:
    labels = torch.tensor([0, 1, 0, 1])
    table = accuracy_table(torch.tensor([0, 0, 0, 0]), labels, ("a", "b"), (1, 4))
    assert table["test_1"] == 1.0
    assert table["test_4"] == 0.5
    assert table["per_class"] == {"a": 1.0, "b": 0.0}
    assert table["commonest_mistakes"] == [{"is": "b", "taken_for": "a", "times": 2}]


def _learnt(recipe: Recipe, folder: Path, *, stop_at: int = 0) -> Run:
    """Learn on a few pictures, in two sittings if asked."""
    pictures, labels = _planes(recipe.images, TRAIN_SEED)
    run = Run.begin(build, recipe)
    if stop_at:

        class StopError(Exception):
            pass

        def interrupt(now: Run, loss: float) -> None:
            if now.step == stop_at:
                now.save(folder / "checkpoint.pt", recipe)
                raise StopError

        with pytest.raises(StopError):
            _learn_with(run, recipe, pictures, labels, interrupt)
        run = Run.begin(build, recipe)
        run.restore(folder / "checkpoint.pt", recipe)
        assert run.step == stop_at
    _learn_with(run, recipe, pictures, labels, lambda now, loss: None)
    return run


def _learn_with(run: Run, recipe: Recipe, pictures: torch.Tensor, labels: torch.Tensor, report: Any) -> None:
    learn(run, recipe, pictures, labels, IMAGE.mean, IMAGE.std, report)


def test_resumed_run_ends_where_an_uninterrupted_one_does(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    recipe = dataclasses.replace(TINY, checkpoint_s=0.0)
    whole, halves = _learnt(recipe, tmp_path), _learnt(recipe, tmp_path, stop_at=3)
    assert whole.step == halves.step == recipe.steps
    for name, tensor in whole.averaged.state_dict().items():
        assert torch.equal(tensor, halves.averaged.state_dict()[name]), name


def test_training_command_writes_weights_and_card(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    card = training.train(TINY, tmp_path, test_counts=(20, 40))
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"{NAME}.json", f"{NAME}.safetensors"]
    assert json.loads((tmp_path / f"{NAME}.json").read_text()) == json.loads(json.dumps(card))
    assert card["training"]["steps"] == 6
    assert card["accuracy"].keys() >= {"test_20", "test_40", "per_class"}
    assert "learnt" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--batch", "100", "--images", "50"], "batch of 100"),
        (["--minutes", "0"], "length"),
        (["--clock", "sun"], "sun"),
    ],
)
def test_impossible_recipes_are_refused(
    options: list[str], reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert training.main(["--out", str(tmp_path), *options]) == UsageError.exit_code
    assert reason in capsys.readouterr().err


def test_checkpoint_of_another_recipe_or_damaged_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    run = Run.begin(build, TINY)
    run.save(path, TINY)
    assert [p.name for p in tmp_path.iterdir()] == ["checkpoint.pt"]
    other = dataclasses.replace(TINY, rate=1e-3, seed=4)
    with pytest.raises(WeightsError, match=r"\(rate, seed differ\)"):
        Run.begin(build, other).restore(path, other)
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(WeightsError, match="cannot be read"):
        run.restore(path, TINY)
