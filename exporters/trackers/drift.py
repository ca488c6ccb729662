"""Follow clips with the model and with the files that were made of it, as an app does, and compare the tracks.

A pair shows one step. A tracker lives on its own answers: a pixel's difference moves the next square, and the score
decides what is believed. Needs no torch itself; the model's engines are handed in.

A film is followed in legs of ten frames, each begun anew from the true box, as VOT's anchors do. Over a whole film one
late moment of doubt decides a third of the figure, by chance: hit_nano and its fp16 file, whose boxes agree to 0.997,
differed in AUC by 0.12 on three films and by 0.004 on ten others. Over 135 legs of all of them they differ by 0.0015,
with a standard error of 0.001; an int8 file that truly is worse differs by 0.085.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from edgevit.bundle import Bundle
from edgevit.errors import InputError
from edgevit.manifest import Manifest
from edgevit.progress import Progress, Step, silent
from edgevit.runtime import TrackSession
from edgevit.runtime.engines import Engine, Tensor
from edgevit.runtime.frame import Frame
from edgevit.runtime.track_score import TrackScore, overlap, score, together
from edgevit.runtime.track_truth import find_sequences
from edgevit.scenes.clips import Clip
from edgevit.scenes.shapes import split_seed

from .pairs import SIZE_HW, Box

TRAINED, UNTRAINED = (("plain", "rivals", "hidden"), 100), (("plain",), 40)
"""The kinds of clips that are followed and their frames: random weights have nothing to lose, so a glance will do."""
_MOST_SEQUENCES, _MOST_FRAMES = 3, 150
LEG = 10
"""Frames of a leg, with the one whose box is given."""


@dataclass(frozen=True, eq=False)
class Film:
    """Hold frames and the true box of each; None where the target cannot be seen."""

    name: str
    frames: tuple[Frame, ...]
    boxes_xywh: tuple[Box | None, ...]


@dataclass(frozen=True)
class Drift:
    """Hold the mean overlap of two tracks, and both trackers' AUC: means over legs."""

    iou: float
    auc_model: float
    auc_file: float


class Kept:
    """Be an engine that another session uses after this one: closing it does nothing."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.description = engine.description

    def run(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return self._engine.run(inputs)

    def close(self) -> None:
        """Leave the engine open."""


def films(folder: str | Path | None, *, trained: bool) -> tuple[Film, ...]:
    """Take the sequences of a folder, else built-in clips."""
    if folder is not None:
        try:
            return tuple(_of_sequence(folder, n) for n in range(min(_MOST_SEQUENCES, len(find_sequences(folder)))))
        except InputError:  # still pictures: they are for pairs alone
            pass
    kinds, count = TRAINED if trained else UNTRAINED
    return tuple(_of_clip(kind, count) for kind in kinds)


@functools.lru_cache(maxsize=4)
def _of_clip(kind: str, count: int) -> Film:
    clip = Clip(kind, seed=split_seed("verification") - 1, count=count, size_hw=SIZE_HW)
    shots = [clip.shot(n) for n in range(count)]
    frames = tuple(Frame(shot.rgb, "rgb", n * 33_333_333, n) for n, shot in enumerate(shots))
    return Film(kind, frames, tuple(shot.box_xywh for shot in shots))


def _of_sequence(folder: str | Path, number: int) -> Film:
    sequence = find_sequences(folder)[number]
    frames = tuple(frame for frame, _ in zip(sequence.frames(), range(_MOST_FRAMES), strict=False))
    return Film(sequence.name, frames, sequence.boxes_xywh[: len(frames)])


def compare(
    model: tuple[Manifest, Mapping[str, Engine]],
    files: tuple[Manifest, Mapping[str, Engine]],
    shown: Sequence[Film],
    progress: Progress | None = None,
) -> Drift:
    """Follow every film with both. A manifest says how its engines want their pictures; no engine is closed."""
    tell = progress or silent
    overlaps: list[float] = []
    scores: tuple[list[TrackScore], list[TrackScore]] = ([], [])
    for number, film in enumerate(shown):
        for leg in legs(film):
            tracks = [_followed(manifest, engines, leg) for manifest, engines in (model, files)]
            overlaps += [overlap(one, other) for one, other in zip(*tracks, strict=True)][1:]
            for kept, track in zip(scores, tracks, strict=True):
                kept.append(score(track, leg.boxes_xywh))
        tell(Step("follow clips", film.name, number + 1, len(shown)))
    by_model, by_file = (together(kept).auc for kept in scores)
    return Drift(float(np.mean(overlaps)), by_model, by_file)


def legs(film: Film) -> Iterator[Film]:
    """Cut a film into short ones that begin where the target is seen; what is left of a frame alone is none."""
    start = 0
    while start < len(film.frames) - 1:
        if film.boxes_xywh[start] is None:
            start += 1
            continue
        part = slice(start, start + LEG)
        yield replace(film, frames=film.frames[part], boxes_xywh=film.boxes_xywh[part])
        start += LEG


def _followed(manifest: Manifest, engines: Mapping[str, Engine], film: Film) -> list[Box]:
    bundle = Bundle(Path(manifest.model), manifest if manifest.trained else _credulous(manifest))
    with TrackSession(bundle, {name: Kept(engine) for name, engine in engines.items()}) as session:
        first = film.boxes_xywh[0]
        assert first is not None  # a leg begins with its target
        x, y, w, h = first
        session.start(film.frames[0], (x, y, x + w, y + h))
        return [first, *(session(frame)[0].box_xywh for frame in film.frames[1:])]


def _credulous(manifest: Manifest) -> Manifest:
    """Let a session believe every answer: by those of random weights no box would ever move, and nothing be shown."""
    assert manifest.spec.track is not None
    track = replace(manifest.spec.track, tuning=(("sure", 1e-3), ("doubt", 0.0), ("again", 0.0)))
    return replace(manifest, spec=replace(manifest.spec, track=track))
