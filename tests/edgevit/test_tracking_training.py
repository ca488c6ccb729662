"""Test how a tracker learns: its loss, a few steps of the real thing, resuming, stopping, and what is refused."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from edgevit.errors import InputError, UsageError, WeightsError
from edgevit.models.hit import SIZES
from edgevit.overlaps import overlaps, success_auc
from edgevit.pictures import write_picture
from edgevit.runtime.tasks.track_net import template_pixels
from edgevit.scenes.shapes import render_picture
from edgevit.spec import TrackSpec
from edgevit.training import tracking
from edgevit.training.card import write_weights
from edgevit.training.pair_fade import fade
from edgevit.training.pair_textures import Textures, read_textures
from edgevit.training.run import Run
from edgevit.training.tracking_check import crop, read_clip, still_aucs, track
from edgevit.training.tracking_learn import TrackingRecipe, judge, learn
from edgevit.training.tracking_loss import Weights, giou, iou, matching_loss, tracking_loss
from edgevit.training.tracking_scenes import Pairs, Scenes

TINY = TrackingRecipe(steps=4, threads=1, batch=4, checkpoint_s=1e9, start=0.25, held_pairs=8, half=False)
boxes = st.tuples(st.floats(0.1, 0.8), st.floats(0.1, 0.8), st.floats(0.05, 0.5), st.floats(0.05, 0.5))


@pytest.fixture(autouse=True)
def _threads() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("pictures")
    for n in range(6):
        write_picture(root / f"{n}.png", render_picture(n, size_hw=(160, 200))[0])
    return root


@pytest.fixture(scope="module")
def textures(folder: Path) -> Textures:
    return read_textures(folder)


def _scenes(textures: Textures) -> Scenes:
    return Scenes(textures, template_px=96, search_px=192, seed=0)


def _perfect(box: torch.Tensor, side: int = 24) -> tuple[torch.Tensor, ...]:
    """Answer a box as a net would that is sure of it: each corner's probability in the four cells around it."""
    maps = []
    for sign in (-1, 1):
        at = (box[:, :2] + sign * box[:, 2:] / 2) * side
        low = at.floor().long()
        plane = torch.zeros(len(box), side, side)
        for n, ((x, y), (part_x, part_y)) in enumerate(zip(low.tolist(), (at - low).tolist(), strict=True)):
            for down in (0, 1):
                for right in (0, 1):
                    plane[n, y + down, x + right] = (part_y if down else 1 - part_y) * (part_x if right else 1 - part_x)
        maps.append(plane)
    return box, maps[0], maps[1]


def test_no_answer_is_better_than_the_true_one() -> None:
    box = torch.tensor([[0.5, 0.45, 0.3, 0.2], [0.4, 0.5, 0.12, 0.33]])
    present = torch.ones(2, dtype=torch.bool)
    weights = Weights(score=0)
    best = tracking_loss((*_perfect(box), torch.zeros(2, 1)), box, present, weights)
    for shift in (0.02, -0.05, 0.1):
        moved = tracking_loss(
            (*_perfect(box + torch.tensor([shift, 0, 0, 0])), torch.zeros(2, 1)), box, present, weights
        )
        assert float(moved) > float(best) + 0.1
    flat = torch.full((2, 24, 24), 1 / 576)
    assert float(tracking_loss((box, flat, flat, torch.zeros(2, 1)), box, present, weights)) > float(best) + 1


def test_an_absent_target_teaches_the_score_alone() -> None:
    box = torch.tensor([[0.5, 0.5, 0.3, 0.2]] * 2)
    answer = tuple(part.clone().requires_grad_() for part in (*_perfect(box + 0.1), torch.zeros(2, 1)))
    tracking_loss(answer, box, torch.tensor([True, False]), Weights()).backward()  # type: ignore[no-untyped-call]
    for part in answer[:3]:
        assert part.grad is not None
        assert float(part.grad[1].abs().sum()) == 0
        assert float(part.grad[0].abs().sum()) > 0
    assert answer[3].grad is not None
    assert float(answer[3].grad[0]) < 0 < float(answer[3].grad[1])


def test_a_box_beyond_the_crop_is_wanted_as_far_as_the_maps_reach() -> None:
    box = torch.tensor([[0.95, 0.05, 0.3, 0.3]])
    seen = torch.tensor([[(0.8 + 23 / 24) / 2, 0.1, 23 / 24 - 0.8, 0.2]])
    near = torch.tensor([[0.8, 0.2, 0.3, 0.3]])
    one, other = (
        tracking_loss((*_perfect(b)[:3], torch.zeros(1, 1)), box, torch.ones(1, dtype=torch.bool), Weights())
        for b in (torch.nextafter(seen, torch.zeros(())), near)
    )
    assert float(one) < float(other)


def test_matching_wants_the_target_alike_and_all_else_different() -> None:
    at, here = torch.tensor([[0.5, 0.5, 0.5, 0.5]] * 2), torch.tensor([[0.3, 0.6, 0.3, 0.3], [0.6, 0.4, 0.3, 0.3]])
    own = torch.nn.functional.one_hot(torch.arange(2), 8).float()
    template = own[:, :, None, None].expand(2, 8, 12, 12)
    right = torch.zeros(2, 8, 24, 24)
    right[:, 7] = 1
    for n, (cx, cy, width, height) in enumerate((here * 24).tolist()):
        rows = slice(round(cy - height / 2), round(cy + height / 2))
        columns = slice(round(cx - width / 2), round(cx + width / 2))
        right[n, :, rows, columns] = own[n, :, None, None]
    present = torch.ones(2, dtype=torch.bool)
    wrong = right.flip(0)
    assert float(matching_loss(template, right, at, here, present)) < 1.2
    assert float(matching_loss(template, wrong, at, here, present)) > 3
    assert float(matching_loss(template, wrong, at, here, ~present)) == 0


@given(boxes, boxes)
def test_overlaps_agree(one: tuple[float, ...], other: tuple[float, ...]) -> None:
    """The two IoUs are one, symmetric and in 0..1; the generalised one is never more."""
    first, second = torch.tensor([one], dtype=torch.float64), torch.tensor([other], dtype=torch.float64)
    value = float(iou(first, second))
    xywh = [(box - torch.tensor([[box[0, 2] / 2, box[0, 3] / 2, 0, 0]])).numpy() for box in (first, second)]
    xyxy = [torch.tensor(np.concatenate((b[:, :2], b[:, :2] + b[:, 2:]), 1)) for b in xywh]
    assert value == pytest.approx(float(overlaps(*xywh)[0]), abs=1e-6)
    assert value == pytest.approx(float(iou(second, first)))
    assert -1 <= float(giou(*xyxy)) <= value + 1e-6
    assert float(iou(first, first)) == pytest.approx(1)


def test_success_auc_is_the_mean_over_the_thresholds() -> None:
    assert success_auc(np.array([1.0, 1.0])) == pytest.approx(20 / 21)  # an overlap is never more than 1
    assert success_auc(np.array([0.0])) == 0
    assert success_auc(np.array([0.5, 0.0])) == pytest.approx(10 / 42)


@pytest.mark.parametrize("box", [(40, 40, 48, 48), (52, 16, 24, 96), (34, 46, 64, 36)])
def test_a_template_is_faded_as_the_runtime_does(box: tuple[int, int, int, int]) -> None:
    frame = np.random.default_rng(5).integers(0, 256, (140, 140, 3), np.uint8)
    wanted, plain = (
        torch.from_numpy(
            template_pixels(TrackSpec((96, 96), (192, 192), faded=faded), frame, box, color="rgb").copy()
        ).permute(2, 0, 1)[None]
        for faded in (True, False)
    )
    assert plain.shape[-1] == 96  # the square needs no resizing, so that both can be equal
    assert not torch.equal(wanted, plain)
    assert torch.equal(fade(plain, torch.tensor([box[2] / box[3]])), wanted)


def test_a_few_steps_on_the_same_pairs_lower_the_loss(textures: Textures, monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = _scenes(textures).render(0, 6)
    monkeypatch.setattr(Scenes, "render", lambda self, step, count: pairs)
    recipe = dataclasses.replace(TINY, steps=12, batch=6, rate=2e-3, start=0.0, checkpoint_s=0.0)
    run, losses = Run.begin(tracking.fresh, recipe), []
    learn(run, recipe, _scenes(textures), lambda now, loss: losses.append(loss))
    assert len(losses) == 12
    assert np.mean(losses[-3:]) < 0.8 * np.mean(losses[:2])


def _learnt(recipe: TrackingRecipe, textures: Textures, folder: Path, *, stop_at: int = 0) -> Run:
    run = Run.begin(tracking.fresh, recipe)
    if stop_at:
        path = folder / "checkpoint.pt"
        assert not learn(run, recipe, _scenes(textures), lambda now, loss: None, path, lambda: run.step == stop_at)
        run = Run.begin(tracking.fresh, recipe)
        run.restore(path, recipe)
        assert run.step == stop_at
    assert learn(run, recipe, _scenes(textures), lambda now, loss: None)
    return run


@pytest.mark.parametrize("threads", [1, 2])
def test_resumed_run_ends_where_an_uninterrupted_one_does(threads: int, textures: Textures, tmp_path: Path) -> None:
    recipe = dataclasses.replace(TINY, threads=threads)
    whole, halves = _learnt(recipe, textures, tmp_path), _learnt(recipe, textures, tmp_path, stop_at=2)
    assert whole.step == halves.step == recipe.steps
    for name, tensor in whole.averaged.state_dict().items():
        assert torch.equal(tensor, halves.averaged.state_dict()[name]), name


def test_judge_counts_present_targets_only(textures: Textures) -> None:
    net = tracking.fresh()
    pairs = _scenes(textures).render(0, 6)
    present = torch.tensor([True, False, True, False, True, False])
    pairs = dataclasses.replace(pairs, present=present)
    kept = Pairs(*(getattr(pairs, field.name)[present] for field in dataclasses.fields(Pairs)))
    assert judge(net, pairs)[0] == pytest.approx(judge(net, kept)[0], abs=1e-5)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    root = tmp_path / "clip"
    root.mkdir()
    for n in range(4):
        frame = np.full((60, 80, 3), 40, np.uint8)
        frame[20:40, 10 + 5 * n : 30 + 5 * n] = (200, 90, 30)
        write_picture(root / f"{n}.png", frame)
    (root / "groundtruth.txt").write_text("".join(f"{10 + 5 * n}, 20\t20,20\n" for n in range(4)).replace("\t", ","))
    return root


def test_training_command_writes_weights_and_card(
    folder: Path, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    recipe = dataclasses.replace(TINY, checkpoint_s=0.0, steps=2)
    card = tracking.train(recipe, folder, out, [read_clip(clip)])
    assert card is not None
    assert sorted(p.name for p in out.iterdir()) == ["hit_nano.json", "hit_nano.safetensors"]
    assert json.loads((out / "hit_nano.json").read_text()) == json.loads(json.dumps(card))
    assert card["accuracy"].keys() == {"held_iou", "held_score_right", "auc", "auc_of_a_still_box"}
    assert set(card["accuracy"]["auc"]) == {"clip"}
    assert card["bytes"] == (out / "hit_nano.safetensors").stat().st_size < 5 << 20
    assert all(t.dtype == torch.float16 for t in load_file(out / "hit_nano.safetensors").values())
    assert "held IoU" in capsys.readouterr().out


def test_training_goes_on_from_weights_of_an_earlier_run(folder: Path, tmp_path: Path) -> None:
    net = tracking.fresh()
    with torch.no_grad():
        net.get_parameter("box_head.conv5_tl.bias").fill_(3)
    write_weights(net, tmp_path / "before.safetensors")
    begun = tracking.fresh(tmp_path / "before.safetensors")
    assert begun.get_parameter("box_head.conv5_tl.bias").item() == 3
    recipe = dataclasses.replace(TINY, steps=1, start=0.0)
    card = tracking.train(recipe, folder, tmp_path / "out", begin=tmp_path / "before.safetensors")
    assert card is not None
    assert card["training"]["steps"] == 1


def test_the_card_s_command_names_no_place_of_this_machine(tmp_path: Path) -> None:
    words = ["--pictures", str(tmp_path), "--begin", str(tmp_path / "a.safetensors"), "--minutes", "3", "--full"]
    arguments = tracking._parser().parse_args(words)
    recipe = TrackingRecipe(minutes=3.0, half=False)
    assert tracking.told(arguments, recipe) == ["--pictures", "DIR", "--begin", "FILE", "--minutes", "3.0", "--full"]


def test_stopped_run_keeps_its_checkpoint_and_goes_on(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert tracking.train(TINY, folder, out, stop=lambda: True) is None
    assert [p.name for p in out.iterdir()] == ["checkpoint.pt"]
    with pytest.raises(UsageError, match="--resume"):
        tracking.train(TINY, folder, out)
    with pytest.raises(WeightsError, match=r"\(rate differ\)"):
        tracking.train(dataclasses.replace(TINY, rate=1e-4), folder, out, resume=True)
    card = tracking.train(TINY, folder, out, resume=True)
    assert card is not None
    assert card["training"]["steps"] == TINY.steps


def test_a_tracker_that_answers_the_middle_stays_and_its_crop_is_the_authors(clip: Path) -> None:
    class Middle:
        size = SIZES["hit_nano"]

        def eval(self) -> None: ...

        def prepare(self, template: torch.Tensor) -> tuple[torch.Tensor, ...]:
            assert template.shape == (1, 3, 96, 96)
            return (template,)

        def track(self, search: torch.Tensor, template: torch.Tensor) -> tuple[torch.Tensor, ...]:
            assert search.shape == (1, 3, 192, 192)
            return (torch.tensor([[0.5, 0.5, 0.25, 0.25]]),)

    read = read_clip(clip)
    assert np.allclose(track(Middle(), read), [10, 20, 20, 20])
    assert still_aucs([read])["clip"] == pytest.approx(success_auc(overlaps(track(Middle(), read), read.truth_xywh)))
    square, side = crop(read.frames[0], np.array([10.0, 20.0, 20.0, 20.0]), 4.0, 80)
    assert side == 80
    assert int(square[0, 0, 0]) == 0  # rows above the picture
    assert square[:, 35, 35].tolist() == [200, 90, 30]


@pytest.mark.parametrize(
    ("text", "reason"),
    [("1,2,3\n", "not a list of boxes"), ("a,b,c,d\n", "not a list"), ("1,2,3,4\n", "4 frames and 1")],
)
def test_broken_truth_is_refused(text: str, reason: str, clip: Path) -> None:
    (clip / "groundtruth.txt").write_text(text)
    with pytest.raises(InputError, match=reason):
        read_clip(clip)
    (clip / "groundtruth.txt").unlink()
    with pytest.raises(InputError, match="has no groundtruth"):
        read_clip(clip)
    with pytest.raises(InputError, match="no folder"):
        read_clip(clip / "none")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--pictures", "{none}"], "no folder"),
        (["--start", "1"], "share of the run"),
        (["--minutes", "0"], "length"),
        (["--limit", "-1"], "limit must be 0"),
        (["--out", "{file}"], "not an empty folder"),
    ],
)
def test_impossible_calls_are_refused(
    options: list[str], reason: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("x")
    places = {"none": tmp_path / "none", "file": tmp_path / "file"}
    words = [option.format(**places) for option in options]
    assert tracking.main(["--pictures", str(folder), "--out", str(tmp_path / "out"), *words]) == UsageError.exit_code
    assert reason in capsys.readouterr().err
