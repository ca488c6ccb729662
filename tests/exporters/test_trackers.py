from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import small_tracker
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import edgevit
from edgevit.bundle import Bundle, open_bundle
from edgevit.errors import BundleError, InputError, RefusedError, UnsupportedError, UsageError
from edgevit.exporters.recipe import Job
from edgevit.exporters.trace import trace
from edgevit.exporters.trackers import agreement, drift, pairs
from edgevit.exporters.trackers.composed import Composed, state_of, wires
from edgevit.exporters.trackers.proof import golden_frame, read_golden, read_reference
from edgevit.exporters.trackers.reference import PairFeeds, TrackReference
from edgevit.formats import FORMATS
from edgevit.models import ModelDef, create_model
from edgevit.pictures import write_picture
from edgevit.runtime.frame import Frame
from edgevit.runtime.tasks.track_crop import square_around
from edgevit.scenes.clips import Clip

FEW = 4
PROOFS = {"coreml": "executed" if sys.platform == "darwin" else "interpreted", "tensorrt": "graph-only"}


@pytest.fixture(scope="module")
def small() -> ModelDef:
    return small_tracker.model_def()


@pytest.fixture(scope="module")
def sealed(small: ModelDef, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return edgevit.export(small, format="onnx", out=tmp_path_factory.mktemp("sealed") / "small", most=FEW)


@pytest.fixture
def copied(sealed: Bundle, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sealed.path, tmp_path / "copied"))


def figures(bundle: Bundle) -> dict[str, float]:
    told: dict[str, float] = bundle.manifest.verification["figures"]
    return told


def test_a_trackers_bundle_holds_both_graphs_and_what_goes_between_them(sealed: Bundle, small: ModelDef) -> None:
    m = open_bundle(sealed.path).manifest
    assert {name: graph.file for name, graph in m.graphs.items()} == {
        "template": "template/model.onnx",
        "track": "track/model.onnx",
    }
    assert [dict(pair) for pair in m.state] == [{"from": out, "to": into} for out, into in small.spec.track.state]  # type: ignore[union-attr]
    assert m.operations == {"preprocess": "image/1", "crop": "hit/1"}
    assert m.spec == small.spec
    assert all(graph.proof == "executed" for graph in m.graphs.values())
    assert {view["graph"] for view in m.placement["views"]} == {"template", "track"}


def test_the_files_answer_as_the_model_does(sealed: Bundle) -> None:
    told = figures(sealed)
    assert told["relative_median"] <= 2e-5
    assert told["box_iou_median"] >= 0.9999
    assert told["drift_iou"] >= 0.99
    gates = {gate["name"]: gate["counted"] for gate in sealed.manifest.verification["gates"]}
    assert gates == {"relative": True, "box_iou": True, "auc_loss": False}


def test_a_session_follows_with_the_bundle(sealed: Bundle) -> None:
    clip = Clip("plain", seed=5, count=4, size_hw=(96, 128))
    box = clip.shot(0).box_xywh
    assert box is not None
    with edgevit.load(sealed, task="track") as session:
        session.start(clip.shot(0).rgb, (box[0], box[1], box[0] + box[2], box[1] + box[3]), color="rgb")
        (track,) = session(clip.shot(1).rgb, color="rgb")
    assert np.isfinite(track.box_xyxy).all()


@pytest.mark.parametrize("golden", [True, False])
def test_a_bundle_proves_itself_again(sealed: Bundle, golden: bool) -> None:
    report = edgevit.verify(sealed, golden=golden)
    assert report.passed, str(report)
    assert report.compared_with == ("the golden output" if golden else "the stored reference")


def test_the_golden_sample_is_what_the_model_says_of_its_frame(sealed: Bundle, small: ModelDef) -> None:
    picture, box, inputs, wanted = read_golden(sealed)
    frame, drawn = golden_frame()
    assert (picture == frame).all()
    assert box == drawn
    with torch.inference_mode():
        answers = small.module(*(torch.from_numpy(tensor) for tensor in inputs.values()))
    names = [t.name for t in sealed.manifest.graphs["track"].outputs]
    for name, answer in zip(names, answers, strict=True):
        np.testing.assert_allclose(wanted[f"track.{name}"], answer.numpy(), rtol=1e-3, atol=1e-5)


def test_the_reference_holds_pairs_and_both_sides_answers(sealed: Bundle) -> None:
    stored, outputs, answers = read_reference(sealed)
    assert len(stored) == FEW
    assert set(outputs) == set(answers) == {"box", "top_left", "bottom_right", "score"}
    assert stored.searches.shape[1:] == (64, 64, 3)


def test_a_changed_weight_is_told_by_the_hash_and_by_the_proof(copied: Path) -> None:
    file = copied / "track" / "model.onnx"
    import onnx

    model = onnx.load(file)
    largest = max(model.graph.initializer, key=lambda t: len(t.raw_data))
    largest.raw_data = bytes(np.frombuffer(largest.raw_data, np.float32) * np.float32(1.5))
    onnx.save(model, file)
    with pytest.raises(BundleError, match=r"track/model.onnx.* is not the file that was sealed"):
        edgevit.verify(copied)
    report = edgevit.verify(copied, ignore_checksums=True)
    failed = {gate.name for gate in report.gates if gate.counted and not gate.passed}
    assert {"relative", "files that are not the sealed ones"} <= failed


def test_a_bundle_without_its_template_is_refused(copied: Path) -> None:
    rewrite(copied, lambda m: (m["graphs"].pop("template"), m["proof"].pop("template")))
    with pytest.raises(BundleError, match=r"'template' is missing here"):
        edgevit.verify(copied, golden=True)


def test_a_state_that_names_no_tensor_is_refused(copied: Path) -> None:
    rewrite(copied, lambda m: m["state"][0].update({"from": "template.nothing"}))
    with pytest.raises(BundleError, match=r"state names 'template.nothing'; 'template' has template_tokens"):
        edgevit.verify(copied)


def rewrite(folder: Path, change: Any) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    change(manifest)
    (folder / "manifest.json").write_text(json.dumps(manifest))


def test_a_spec_whose_state_goes_nowhere_is_refused(small: ModelDef) -> None:
    assert small.spec.track is not None
    wrong = replace(small.spec.track, state=(("template.template_tokens", "track.elsewhere"),))
    reference = TrackReference(replace(small, spec=replace(small.spec, track=wrong)))
    with pytest.raises(BundleError, match=r"'track\.elsewhere'"):
        list(wires(state_of(reference.model.spec), reference.graph_files()))


@pytest.mark.slow
def test_a_file_that_finds_other_boxes_is_refused(
    small: ModelDef, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = Composed.both

    def shifted(self: Composed, *tensors: Any) -> Any:
        told, answers = own(self, *tensors)
        return told, {**answers, "box": answers["box"] + np.float32(0.2)}

    monkeypatch.setattr(Composed, "both", shifted)
    with pytest.raises(RefusedError, match=r"box_iou .* \(at least 99.0%\): failed"):
        edgevit.export(small, format="onnx", out=tmp_path / "out", most=FEW)
    assert [p.name for p in (tmp_path / "out.refused").iterdir()] == ["report.json"]


@pytest.mark.parametrize("option", [{"batch": 2}, {"dynamic": True}, {"uint8_input": True}])
def test_what_a_tracker_cannot_be_is_said_before_anything_is_made(
    small: ModelDef, tmp_path: Path, option: dict[str, Any]
) -> None:
    with pytest.raises(UnsupportedError, match="one picture at a time"):
        edgevit.export(small, format="onnx", out=tmp_path / "out", **option)


def test_a_classifiers_gate_is_no_trackers(small: ModelDef, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no gate 'top1' for trackers; gates are auc_loss, box_iou, relative"):
        edgevit.export(small, format="onnx", out=tmp_path / "out", gates={"top1": 0.9})


def test_calibration_feeds_both_graphs_with_the_models_own_state(small: ModelDef, tmp_path: Path) -> None:
    reference = TrackReference(small)
    some = pairs.choose(small.spec, None, most=2, split="calibration")
    job = Job(FORMATS["onnx"], "int8", small.spec, tmp_path, calibration=PairFeeds(some, reference))
    graphs = small.graphs
    traced = {name: trace(name, graph, "onnx", batch=1, dynamic=False) for name, graph in graphs.items()}
    templates, searches = (list(job.feeds(traced[name])) for name in ("template", "track"))
    assert len(templates) == len(searches) == 2
    with torch.inference_mode():
        handed_on = graphs["template"].module(torch.from_numpy(templates[1]["template"]))
    np.testing.assert_allclose(searches[1]["template_tokens"], handed_on[0].numpy(), rtol=1e-4, atol=1e-6)
    assert set(searches[0]) == {t.name for t in graphs["track"].inputs}


def test_pairs_are_the_same_again_and_differ_between_splits(small: ModelDef) -> None:
    pairs.of_clips.cache_clear()
    first = pairs.choose(small.spec, None, most=3, split="verification")
    pairs.of_clips.cache_clear()
    again, other = (pairs.choose(small.spec, None, most=3, split=s) for s in ("verification", "calibration"))
    assert first.fingerprint() == again.fingerprint() != other.fingerprint()


@pytest.fixture(scope="module")
def sequence(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sequences")
    clip = Clip("plain", seed=9, count=5, size_hw=(96, 128))
    (folder / "one").mkdir()
    lines = []
    for n in range(clip.count):
        shot = clip.shot(n)
        write_picture(folder / "one" / f"{n:04}.png", shot.rgb)
        lines.append("0,0,0,0" if shot.box_xywh is None else ",".join(map(str, shot.box_xywh)))
    (folder / "one" / "groundtruth.txt").write_text("\n".join(lines) + "\n")
    return folder


def test_pairs_come_from_a_folder_of_sequences_or_of_pictures(small: ModelDef, sequence: Path, tmp_path: Path) -> None:
    moving = pairs.choose(small.spec, sequence, most=3, split="verification")
    assert moving.source.startswith("pairs along sequences")
    assert len(moving) == 3
    (film,) = drift.films(sequence, trained=True)
    assert len(film.frames) == 5
    write_picture(tmp_path / "a.png", Clip("plain", count=2, size_hw=(96, 128)).shot(0).rgb)
    made_up = pairs.choose(small.spec, tmp_path, most=3, split="verification")
    assert made_up.source.startswith("pairs made of pictures")
    assert len({name.tobytes() for name in made_up.templates}) == 3
    (tmp_path / "a.png").unlink()
    with pytest.raises(InputError, match=r"neither sequences .* nor pictures"):
        pairs.choose(small.spec, tmp_path, most=3, split="verification")


def test_a_pair_is_cut_as_the_runtime_cuts_it(small: ModelDef) -> None:
    assert small.spec.track is not None
    shot = Clip("plain", seed=1, count=2).shot(0)
    assert shot.box_xywh is not None
    square = square_around(shot.box_xywh, small.spec.track.search_factor)
    seen = pairs.cut(small.spec, shot.rgb, shot.box_xywh, "track")
    assert seen.shape == (64, 64, 3)
    x, y = (round(v) for v in square.centre_xy)
    assert np.abs(seen[32, 32].astype(int) - shot.rgb[y, x].astype(int)).max() < 120


def answers(boxes: np.ndarray) -> dict[str, np.ndarray]:
    cells = np.full((len(boxes), 4, 4), 1 / 16, np.float32)
    return {"box": boxes, "top_left": cells, "bottom_right": cells, "score": np.zeros((len(boxes), 1), np.float32)}


sides = st.floats(0.1, 0.5)


@settings(max_examples=50, deadline=None)
@given(st.tuples(sides, sides, sides, sides), st.floats(0, 0.05))
def test_the_overlap_falls_with_the_distance(box: tuple[float, ...], shift: float) -> None:
    one = np.array([box], np.float32)
    moved = one + np.array([[shift, 0, 0, 0]], np.float32)
    told = agreement.measure(answers(one), answers(moved), noise_relative=0.0, score="score")
    width = float(one[0, 2])
    expected = max(0.0, (width - shift) / (width + shift))
    assert told.box_iou_median == pytest.approx(expected, abs=1e-4)
    assert told.score_most == 0


def test_no_area_agrees_with_no_area() -> None:
    inverted = np.array([[0.5, 0.5, -0.1, 0.2]], np.float32)
    told = agreement.measure(answers(inverted), answers(inverted), noise_relative=0.0)
    assert told.box_iou_median == 1.0


@pytest.mark.parametrize(("trained", "counted"), [(True, True), (False, False)])
def test_the_loss_on_clips_counts_on_trained_weights_alone(trained: bool, counted: bool) -> None:
    one = answers(np.array([[0.5, 0.5, 0.2, 0.2]], np.float32))
    told = replace(agreement.measure(one, one, noise_relative=0.0), drift_iou=0.5, auc_model=0.6, auc_file=0.55)
    gates = agreement.judge(told, agreement.GATES["int8"], precision="int8", trained=trained)
    found = {gate.name: (gate.passed, gate.counted) for gate in gates}
    assert found == {"box_iou": (True, counted), "auc_loss": (False, counted)}


def test_noise_lifts_the_gate_of_fp16_by_the_size_of_its_steps() -> None:
    one = answers(np.array([[0.5, 0.5, 0.2, 0.2]], np.float32))
    limits = {}
    for noise in (0.0, 5e-6, 1e-3):
        told = agreement.measure(one, one, noise_relative=noise)
        for precision in ("fp32", "fp16"):
            (gate, *_) = agreement.judge(told, agreement.GATES[precision], precision=precision, trained=True)
            limits[precision, noise] = gate.limit
    assert limits["fp32", 0.0] == limits["fp32", 5e-6] == 1e-4
    assert limits["fp32", 1e-3] == limits["fp16", 0.0] == 1e-2
    assert limits["fp16", 5e-6] == pytest.approx(0.0488, rel=1e-2)
    assert limits["fp16", 1e-3] == 0.1


@given(st.lists(st.booleans(), min_size=0, max_size=45))
def test_legs_begin_where_the_target_is_seen_and_leave_no_seen_stretch_out(seen: list[bool]) -> None:
    frames = tuple(Frame(np.zeros((2, 2, 3), np.uint8), "rgb", n, n) for n in range(len(seen)))
    film = drift.Film("film", frames, tuple((0.0, 0.0, 1.0, 1.0) if one else None for one in seen))
    legs = [[frame.index for frame in leg.frames] for leg in drift.legs(film)]
    assert all(leg == list(range(leg[0], leg[-1] + 1)) and 1 < len(leg) <= drift.LEG for leg in legs)
    assert all(seen[leg[0]] for leg in legs)
    walked = [n for leg in legs for n in leg]
    assert walked == sorted(set(walked))
    assert not any(seen[n] for n in range(len(seen) - 1) if n not in walked)


def test_drift_is_nothing_where_both_are_the_same(small: ModelDef, sealed: Bundle) -> None:
    reference = TrackReference(small)
    own = replace(sealed.manifest, spec=small.spec, graphs=reference.graph_files())
    film = drift.films(None, trained=False)[0]
    short = drift.Film(film.name, film.frames[:5], film.boxes_xywh[:5])
    same = drift.compare((own, reference.engines), (own, reference.engines), (short,))
    assert same.iou == 1.0
    assert same.auc_model == same.auc_file
    moved = {tuple(box) for box in drift._followed(own, reference.engines, short)}
    assert len(moved) > 1, "a box that never moves shows no drift"


TOLERANCES = {"fp32": (1e-4, 0.999), "fp16": (2e-2, 0.95)}


@pytest.mark.slow
@pytest.mark.parametrize("format_name", sorted(FORMATS))
@pytest.mark.parametrize("precision", sorted(TOLERANCES))
def test_every_format_makes_trackers(small: ModelDef, tmp_path: Path, format_name: str, precision: str) -> None:
    bundle = edgevit.export(small, format=format_name, precision=precision, out=tmp_path / "b", most=FEW)
    relative, iou = TOLERANCES[precision]
    assert figures(bundle)["relative_median"] <= relative
    assert figures(bundle)["box_iou_median"] >= iou
    m = bundle.manifest
    assert {graph.proof for graph in m.graphs.values()} == {PROOFS.get(format_name, "executed")}
    assert m.spec.image.layout == ("nhwc" if format_name == "litert" else "nchw")
    gates = {gate["name"] for gate in m.verification["gates"]}
    assert ("largest value inside track" in gates) == (precision == "fp16")
    assert edgevit.verify(bundle, golden=True).passed
    assert edgevit.verify(bundle).passed


@pytest.mark.slow
@pytest.mark.parametrize("format_name", ["onnx", "litert"])
def test_int8_is_made_and_reported(small: ModelDef, tmp_path: Path, format_name: str) -> None:
    bundle = edgevit.export(small, format=format_name, precision="int8", out=tmp_path / "b", most=8)
    assert edgevit.verify(bundle, golden=True).passed
    calibration = bundle.manifest.provenance.calibration
    assert (calibration is not None) == (format_name == "onnx")
    assert not {g["name"]: g["counted"] for g in bundle.manifest.verification["gates"]}["box_iou"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["hit_nano", "hit_tiny"])
def test_the_named_trackers_are_exported(name: str, tmp_path: Path) -> None:
    bundle = edgevit.export(create_model(name, "random"), format="onnx", out=tmp_path / "b", most=FEW)
    assert figures(bundle)["relative_median"] <= 1e-4
    assert figures(bundle)["box_iou_median"] >= 0.999
