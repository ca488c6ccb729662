"""The tracker that ships: its weights are their card's, its bundle is made of them, proves itself, and follows."""

from __future__ import annotations

import pytest

import edgevit
from edgevit.bundle import Bundle, open_bundle
from edgevit.models import create_model
from edgevit.runtime.evaluate_track import evaluate, summary
from edgevit.runtime.track_clips import built_in
from edgevit.runtime.track_rivals import Static
from edgevit.weights import bundle_path, card, weights_path

NAME = "hit_nano"


@pytest.fixture(scope="module")
def shipped() -> Bundle:
    path = bundle_path(NAME)
    assert path is not None
    return open_bundle(path)


def test_weights_are_small_and_their_card_is_whole() -> None:
    told = card(NAME)
    assert weights_path(NAME).stat().st_size == told.bytes <= 5_000_000
    assert told.parameters == sum(p.numel() for p in create_model(NAME).module.parameters()) <= 2_500_000
    assert told.measure == "success AUC"
    assert told.accuracy >= 0.40
    means = told.details["accuracy"]["tracked_means"]
    assert all(told.accuracy > means[rival] for rival in ("csrt", "kcf", "mil", "static"))
    assert told.details["training"]["command"].startswith("python -m edgevit.training.tracking")


def test_the_ready_bundle_is_made_of_these_weights_and_of_todays_contract(shipped: Bundle) -> None:
    assert shipped.manifest.trained
    assert shipped.manifest.provenance.weights.sha256 == card(NAME).sha256
    model = create_model(NAME)
    assert model.weights.trained
    track, sealed = model.spec.track, shipped.manifest.spec.track
    assert track is not None
    assert sealed is not None
    assert (sealed.tuning, sealed.faded, sealed.margin) == (track.tuning, track.faded, track.margin)


def test_the_ready_bundle_proves_itself(shipped: Bundle) -> None:
    pytest.importorskip("onnxruntime")
    assert edgevit.verify(shipped, golden=True).passed


def test_it_follows_what_a_box_that_stays_loses(shipped: Bundle) -> None:
    pytest.importorskip("onnxruntime")
    clips = built_in("synthetic://clip?kind=plain&seed=11&count=60") + built_in("synthetic://clip?kind=rivals&count=60")
    with edgevit.load(shipped, task="track") as session:
        runs = evaluate({NAME: session, "static": Static()}, clips)
    ours, still = (summary(runs, name)[0].auc for name in (NAME, "static"))
    assert ours > max(0.5, still + 0.2)
