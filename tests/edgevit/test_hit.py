"""Hold HiT to the published net, and its deployed form to itself. The oracle is ``tests/support/hit_oracle.py``."""

from __future__ import annotations

import copy
import sys
import types
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import hit_oracle as oracle
import pytest
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from edgevit.errors import SpecError, UnsupportedError, UsageError, WeightsError
from edgevit.kernels.rewrites import fuse, rewrite
from edgevit.models import ModelDef, create_model, describe
from edgevit.models.hit import SIZES, HiT, HitSize, build
from edgevit.models.hit.lively import FromOnePicture, both, enliven
from edgevit.models.hit.nano import HitNano
from edgevit.models.live import pictures, sensitivity
from edgevit.registry import family_of, list_models
from edgevit.spec import ImageSpec, Spec

SMALL = HitSize((32, 48, 64), (2, 3, 4), (1, 1, 1), search=128, template=64, hidden=32, head=16)
SMALL_NANO = HitSize((32, 48, 64), (2, 3, 4), (1, 1, 1), search=128, template=64, hidden=32, head=16, features=8)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def noise(count: int, side: int, seed: int = 0) -> Tensor:
    drawn = torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(seed))
    return nn.functional.avg_pool2d(drawn, 9, 1, 4) * 6


def views(net: HiT, count: int = 2) -> tuple[Tensor, Tensor]:
    return noise(count, net.size.template), noise(count, net.size.search, seed=1)


def alive(size: HitSize, seed: int = 0) -> HiT:
    """Make a net whose every branch says something."""
    net = HitNano(size) if size.features else HiT(size)
    enliven(net, input_size=(3, size.search, size.search), seed=seed)
    return net


def largest(one: tuple[Tensor, ...], other: tuple[Tensor, ...]) -> float:
    assert [a.shape for a in one] == [b.shape for b in other]
    return max(float((a - b).abs().max()) for a, b in zip(one, other, strict=True))


@pytest.fixture(scope="module")
def file_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Path, oracle.State]]:
    made: dict[str, tuple[Path, oracle.State]] = {}

    def get(name: str) -> tuple[Path, oracle.State]:
        if name not in made:
            with torch.no_grad():
                state = oracle.made_up(oracle.PUBLISHED[name])
            path = tmp_path_factory.mktemp(name) / "VT_ep1500.pth.tar"
            torch.save({"epoch": 1500, "net_type": "HiT", "net": state, "net_info": None}, path)
            made[name] = path, state
        return made[name]

    return get


@pytest.mark.parametrize(
    "name", ["hit_tiny", *(pytest.param(n, marks=pytest.mark.slow) for n in ("hit_small", "hit_base"))]
)
def test_the_authors_file_gives_the_authors_answers(name: str, file_of: Callable[[str], Any]) -> None:
    path, state = file_of(name)
    model = create_model(name, path)
    template, search = views(model.module)  # type: ignore[arg-type]
    with torch.no_grad():
        wanted = oracle.track(oracle.PUBLISHED[name], state, template, search)
        got = model.module(template, search)
    assert wanted[0][0].sub(wanted[0][1]).abs().max() > 1e-3, "the two pictures are told apart"
    assert largest(got, wanted) < 1e-5
    assert model.weights.trained
    assert model.weights.source == "file"


@pytest.mark.parametrize(
    ("name", "parameters", "fused", "keys"),
    [
        ("hit_tiny", 9_628_530, 9.61e6, 400),
        pytest.param("hit_small", 11_069_794, 11.05e6, 478, marks=pytest.mark.slow),
        pytest.param("hit_base", 42_220_250, 42.17e6, 478, marks=pytest.mark.slow),
    ],
)
def test_the_published_sizes_have_the_published_parameters(name: str, parameters: int, fused: float, keys: int) -> None:
    net = build(name)
    assert sum(p.numel() for p in net.parameters()) == parameters
    small = fuse(net)
    assert sum(p.numel() for p in small.parameters()) == pytest.approx(
        fused, abs=1e4
    )  # ours has no norm in bridge and head either
    assert not [m for m in small.modules() if isinstance(m, _BatchNorm)]
    in_file = list(oracle.shapes(oracle.PUBLISHED[name]))
    assert len(in_file) == keys
    from edgevit.models.checkpoints.hit import original_names

    names = original_names(tuple(net.state_dict()))
    assert set(names) == {key for key, _ in in_file if not key.endswith("attention_bias_idxs")}
    assert set(names.values()) == set(net.state_dict())
    assert all(net.state_dict()[names[key]].shape == shape for key, shape in in_file if key in names)


def test_nano_is_small_and_has_what_only_it_has() -> None:
    net = build("hit_nano").eval()
    assert sum(p.numel() for p in net.parameters()) <= 2_500_000
    size = net.size
    assert (size.search, size.template) in [(192, 96), (256, 128), (192, 128), (256, 96)]
    answers = [(o.name, o.shape) for o in net.graphs()["track"].outputs]
    assert answers == [
        ("box", (1, 4)),
        ("top_left", (1, 24, 24)),
        ("bottom_right", (1, 24, 24)),
        ("score", (1, 1)),
        ("features", (1, 32, 24, 24)),
    ]
    assert build("hit_tiny").ANSWERS == ("box", "top_left", "bottom_right")
    assert not {key.split(".")[0] for key in build("hit_tiny").state_dict()} - {
        "stem",
        "stages",
        "bottleneck",
        "box_head",
    }


@pytest.mark.parametrize("size", [SMALL, SMALL_NANO], ids=["plain", "nano"])
def test_the_two_graphs_are_the_net(size: HitSize) -> None:
    net = alive(size)
    template, search = views(net)
    graphs = net.graphs()
    assert list(graphs) == ["template", "track"]
    with torch.no_grad():
        prepared = graphs["template"].module(template)
        answers = graphs["track"].module(search, *prepared)
        assert largest(answers, net(template, search)) == 0
        for target in ("onnx", "executorch", "litert", "coreml"):
            between = rewrite(graphs["template"].module, target)(template)
            assert largest(rewrite(graphs["track"].module, target)(search, *between), answers) < 1e-5
    for graph in graphs.values():
        assert [t.shape for t in graph.example()] == [spec.shape for spec in graph.inputs]
    shapes = {name: {t.name: t.shape for t in graph.outputs} for name, graph in graphs.items()}
    assert shapes["template"] == {t.name: t.shape for t in graphs["track"].inputs[1:]}


@pytest.mark.parametrize("size", [SMALL, SMALL_NANO], ids=["plain", "nano"])
def test_a_deployed_graph_has_constants_for_biases_and_tensors_of_rank_four(size: HitSize) -> None:
    net = alive(size)
    for graph in net.graphs().values():
        program = torch.export.export(rewrite(graph.module, "onnx").requires_grad_(False), graph.example())
        calls = [node for node in program.graph.nodes if node.op == "call_function"]
        names = {str(node.target) for node in calls}
        assert not [n for n in names if "index" in n or "gather" in n or "batch_norm" in n or "detach" in n]
        assert max(node.meta["val"].ndim for node in calls if isinstance(node.meta["val"], Tensor)) <= 4


def test_the_template_graph_holds_the_stem_alone() -> None:
    graphs = build("hit_tiny").graphs()
    assert {key.split(".")[0] for key in graphs["template"].module.state_dict()} == {"convs"}


def test_the_corners_are_means_over_their_maps() -> None:
    net = alive(SMALL_NANO)
    with torch.no_grad():
        box, top_left, bottom_right, score, features = net(*views(net, 3))
    places = torch.arange(16) / 16
    for cells, sign in ((top_left, -1), (bottom_right, 1)):
        assert cells.min() >= 0
        assert torch.allclose(cells.sum((1, 2)), torch.ones(3), atol=1e-5)
        assert torch.allclose((cells.sum(1) * places).sum(1), box[:, 0] + sign * box[:, 2] / 2, atol=1e-5)
        assert torch.allclose((cells.sum(2) * places).sum(1), box[:, 1] + sign * box[:, 3] / 2, atol=1e-5)
    assert score.shape == (3, 1)
    assert features.norm(dim=1).max() < 1


def test_a_template_says_which_of_two_things_is_meant() -> None:
    net = alive(SMALL_NANO)
    template, search = views(net)
    with torch.no_grad():
        one, other = net(template[:1], search[:1]), net(template[1:], search[:1])
    assert largest(one[:4], other[:4]) > 1e-3


def test_weights_that_change_in_place_change_the_answer_in_eval_mode() -> None:
    net = alive(SMALL)
    with torch.no_grad():
        before = net(*views(net))
        for name, parameter in net.named_parameters():
            if name.endswith("attention_biases"):
                parameter.copy_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(2)))
        assert largest(net(*views(net)), before) > 1e-6


def test_every_weight_learns() -> None:
    net = alive(SMALL_NANO).train()
    box, top_left, bottom_right, score, _ = net(*views(net, 4))
    loss = box.square().sum() + top_left.square().sum() + bottom_right.square().sum() + score.sum()
    loss.backward()
    lazy = [name for name, p in net.named_parameters() if p.grad is None or not p.grad.abs().max() > 0]
    # Maps are probabilities, so a number added to all cells before the softmax changes nothing.
    assert [name for name in lazy if not name.startswith("box_head.conv5") or not name.endswith("bias")] == []


@pytest.fixture(scope="module")
def nano() -> ModelDef:
    return create_model("hit_nano", "random")


def test_random_weights_are_live_seeded_and_boxes(nano: ModelDef) -> None:
    net = nano.module
    assert isinstance(net, HiT)
    assert not nano.weights.trained
    image = nano.spec.image
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (image.mean, image.std))
    search = (pictures(6, image.size_hw, seed=9) - mean) / std
    with torch.no_grad():
        box = net(*both(net, search))[0]
    assert box[:, 2:].median() > 0.1, "boxes have an area"
    assert box.std(0).median() > 0.02, "and depend on the picture"
    assert sensitivity(FromOnePicture(net), search) < 1e-5
    one, again, other = (alive(SMALL_NANO, seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(value, again[key]) for key, value in one.items())
    assert not torch.equal(one["meaning.linear.weight"], other["meaning.linear.weight"])


def test_the_contract_says_how_pictures_are_cut_and_what_goes_between_the_graphs(nano: ModelDef) -> None:
    track = nano.spec.track
    assert track is not None
    assert (nano.spec.task, nano.spec.output) == ("track", "box")
    assert nano.spec.image.size_hw == track.search_size_hw == (192, 192)
    assert track.template_size_hw == (96, 96)
    assert track.faded
    assert (track.crop, track.margin, track.template_factor, track.search_factor) == ("hit/1", 2, 2.0, 4.0)
    assert (track.score, track.features, track.feature_stride, track.map_stride) == ("score", "features", 8, 8)
    graphs = nano.graphs
    for output, inlet in track.state:
        (one, tensor), (other, into) = output.split("."), inlet.split(".")
        assert tensor in {t.name for t in graphs[one].outputs}
        assert into in {t.name for t in graphs[other].inputs}
    assert len(track.state) == len(graphs["template"].outputs)
    tiny = describe("hit_tiny")
    assert tiny["task"] == "track"
    assert tiny["track"]["score"] is None
    assert tiny["parameters"] == 9_628_530
    assert any("VT_ep1500" in note for note in tiny["notes"])


@pytest.mark.parametrize(("search", "template"), [(200, 96), (96, 48), (192, 100)])
def test_sides_that_cannot_be_halved_are_refused(search: int, template: int) -> None:
    with pytest.raises(SpecError, match="multiple of 64"):
        replace(SMALL, search=search, template=template)


def test_trackers_are_listed_as_such() -> None:
    assert list_models("track") == tuple(SIZES)
    assert family_of("hit_base") == "hit"


@pytest.mark.parametrize(
    ("options", "told", "error"),
    [
        ({"num_classes": 3}, "leave classes and labels out", UsageError),
        ({"labels": ["a", "b"]}, "leave classes and labels out", UsageError),
        ({"imgsz": 256}, "192x192", UnsupportedError),
    ],
)
def test_what_belongs_to_classifiers_is_refused(options: Mapping[str, Any], told: str, error: type[Exception]) -> None:
    with pytest.raises(error, match=told):
        create_model("hit_nano", "random", **options)


def test_another_size_or_a_foreign_tracker_is_refused(nano: ModelDef) -> None:
    assert nano.at_size((192, 192)) is nano
    with pytest.raises(UnsupportedError, match="tracks in pictures"):
        nano.at_size((256, 256))
    with pytest.raises(UnsupportedError, match="Only a classifier"):
        ModelDef.from_module(nn.Identity(), nano.spec)
    with pytest.raises(SpecError, match="go together"):
        Spec("track", ImageSpec((8, 8), (8, 8)))


def saved(tmp_path: Path, state: Mapping[str, Any]) -> Path:
    torch.save({"net": dict(state)}, tmp_path / "file.pth.tar")
    return tmp_path / "file.pth.tar"


def test_a_file_of_another_size_is_told_by_name(tmp_path: Path, file_of: Callable[[str], Any]) -> None:
    path, _ = file_of("hit_tiny")
    with pytest.raises(
        WeightsError, match=r"holds the weights of hit_tiny, and hit_base was asked for\. Type hit_tiny"
    ):
        create_model("hit_base", path)
    with pytest.raises(WeightsError, match="holds the weights of hit_nano"):
        create_model("hit_tiny", saved(tmp_path, build("hit_nano").state_dict()))


def test_a_file_for_other_pictures_is_told(tmp_path: Path, file_of: Callable[[str], Any]) -> None:
    _, state = file_of("hit_tiny")
    key = "backbone.body.blocks.0.m.attention_bias_idxs"
    with pytest.raises(WeightsError, match="trained on pictures of another size"):
        create_model("hit_tiny", saved(tmp_path, {**state, key: torch.zeros(500, 500, dtype=torch.long)}))


def test_tables_that_are_numbered_otherwise_are_told(tmp_path: Path, file_of: Callable[[str], Any]) -> None:
    _, state = file_of("hit_tiny")
    key = "backbone.body.blocks.4.attention_bias_idxs"
    with pytest.raises(WeightsError, match="numbers its attention biases in another way"):
        create_model("hit_tiny", saved(tmp_path, {**state, key: state[key].flip(0)}))


def test_what_is_missing_or_too_much_is_named(tmp_path: Path, file_of: Callable[[str], Any]) -> None:
    _, state = file_of("hit_tiny")
    changed = {key: value for key, value in state.items() if key != "bottleneck.proj1.weight"}
    with pytest.raises(WeightsError, match=r"authors' keys\): missing: bottleneck.proj1.weight; unexpected: extra"):
        create_model("hit_tiny", saved(tmp_path, {**changed, "extra": torch.zeros(1)}))
    with pytest.raises(WeightsError, match="in edgevit's or the authors' own format"):
        create_model("hit_tiny", saved(tmp_path, {"weight": torch.zeros(1)}))


def test_our_own_files_load_too(tmp_path: Path, nano: ModelDef) -> None:
    from safetensors.torch import save_file

    save_file(
        {key: value.half() if value.is_floating_point() else value for key, value in nano.module.state_dict().items()},
        tmp_path / "nano.safetensors",
    )
    loaded = create_model("hit_nano", tmp_path / "nano.safetensors").module
    assert isinstance(loaded, HiT)
    with torch.no_grad():
        assert largest(loaded(*views(loaded)), nano.module(*views(loaded))) < 0.05


def trainers_class(monkeypatch: pytest.MonkeyPatch, place: str, name: str) -> Any:
    """Make a class that pickles under the name of one of the trainer's."""
    parts = place.split(".")
    for n in range(1, len(parts) + 1):
        path = ".".join(parts[:n])
        monkeypatch.setitem(sys.modules, path, sys.modules.get(path) or types.ModuleType(path))
    made = type(name, (), {"__module__": place})
    setattr(sys.modules[place], name, made)
    return made


def test_what_the_trainer_left_in_the_file_is_not_read(
    tmp_path: Path, file_of: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, state = file_of("hit_tiny")
    path = tmp_path / "VT_ep1500.pth.tar"
    with monkeypatch.context() as patch:
        settings = trainers_class(patch, "lib.train.admin.settings", "Settings")()
        settings.env = trainers_class(patch, "lib.train.admin.local", "EnvironmentSettings")()
        meter = trainers_class(patch, "lib.train.admin.stats", "AverageMeter")()
        meter.history = [1.0]
        left = {"stats": {"train": {"Loss": meter}}, "settings": settings, "constructor": None}
        torch.save({"net": state, "optimizer": {"state": {0: {"step": 3}}}, **left}, path)
    with torch.no_grad():
        plain = create_model("hit_tiny", saved(tmp_path, state)).module
        assert largest(create_model("hit_tiny", path).module(*views(plain)), plain(*views(plain))) == 0  # type: ignore[arg-type]


class Planted:
    """Would write a file if anything unpickled it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_code_in_the_file_is_never_run(tmp_path: Path, file_of: Callable[[str], Any]) -> None:
    _, state = file_of("hit_tiny")
    torch.save({"net": state, "settings": Planted(tmp_path / "ran")}, tmp_path / "file.pth.tar")
    with pytest.raises(WeightsError, match="Nothing is ever unpickled"):
        create_model("hit_tiny", tmp_path / "file.pth.tar")
    assert not (tmp_path / "ran").exists()


def test_a_deep_copy_is_independent() -> None:
    net = HiT(SMALL).eval()
    other = copy.deepcopy(net)
    with torch.no_grad():
        other.get_parameter("bottleneck.proj1.weight").zero_()
        assert net.get_parameter("bottleneck.proj1.weight").abs().max() > 0


def test_the_command_line_tells_how_pictures_are_cut(capsys: pytest.CaptureFixture[str]) -> None:
    from edgevit.cli.entry import main

    assert main(["info", "hit_nano"]) == 0
    assert "search 192x192 of 4 times the target's size, template 96x96 of 2 times" in capsys.readouterr().out
    assert main(["list", "--task", "track"]) == 0
    assert "hit_nano" in capsys.readouterr().out
