"""Keep the public face: its names, its spellings, and that every door opens."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import edgevit
from edgevit.registry import door

NAMES = (
    "Bundle",
    "Device",
    "EdgevitError",
    "Frame",
    "ImageSpec",
    "ModelDef",
    "Session",
    "Spec",
    "Track",
    "TrackSession",
    "Tracks",
    "create_model",
    "export",
    "list_devices",
    "list_models",
    "load",
    "open_bundle",
    "verify",
)
"""Others build on these: a name may be added here, never taken away or renamed."""

SPELLINGS = {
    "create_model": "name, weights=None, seed=0, num_classes=None, labels=None",
    "export": (
        "model_or_name, *, format=None, device=None, precision=None, weights=None, calib=None, images=None, "
        "imgsz=None, batch=1, dynamic=False, opset=None, gates=None, out=None, progress=None"
    ),
    "load": "bundle_or_path, *, engine=None, threads=None, precision=None",
    "list_models": "task=None",
    "list_devices": "",
    "open_bundle": "path",
    "verify": "bundle, *, images=None",
}


def spelled(function: object, *, keep: str) -> str:
    """Write a signature without its annotations and without the keyword-only parameters that ``keep`` does not name."""
    signature = inspect.signature(function)  # type: ignore[arg-type]
    kept = {word.strip().partition("=")[0] for word in keep.split(",")}
    parameters = [
        parameter.replace(annotation=inspect.Parameter.empty)
        for parameter in signature.parameters.values()
        if parameter.kind is not inspect.Parameter.KEYWORD_ONLY or parameter.name in kept
    ]
    bare = signature.replace(parameters=parameters, return_annotation=inspect.Signature.empty)
    return str(bare).strip("()")


def test_the_public_names_are_these() -> None:
    assert sorted(edgevit.__all__) == sorted(NAMES)
    assert {*NAMES, "__version__"} <= set(dir(edgevit))


@pytest.mark.parametrize("name", NAMES)
def test_every_door_opens(name: str) -> None:
    value = getattr(edgevit, name)
    assert value.__name__ == name
    assert value.__module__.startswith("edgevit.")
    assert value.__doc__
    if name in edgevit._DOORS:
        assert value is door(edgevit._DOORS[name])
        assert vars(edgevit)[name] is value, "a door that was opened stays open"


@pytest.mark.parametrize("name", SPELLINGS)
def test_functions_are_called_as_they_always_were(name: str) -> None:
    """Keyword-only parameters may be added; everything else stands where users left it."""
    assert spelled(getattr(edgevit, name), keep=SPELLINGS[name]) == SPELLINGS[name]


def test_keyword_only_parameters_that_are_added_can_be_left_out() -> None:
    for name in SPELLINGS:
        for parameter in inspect.signature(getattr(edgevit, name)).parameters.values():
            if parameter.kind is inspect.Parameter.KEYWORD_ONLY:
                assert parameter.default is not inspect.Parameter.empty, f"{name}({parameter.name}=)"


@pytest.mark.parametrize(
    ("function", "breach"),
    [
        (lambda task: None, "a default was lost"),
        (lambda kind=None: None, "a parameter was renamed"),
        (lambda more=None, task=None: None, "a parameter was put before"),
        (lambda *, task=None: None, "a parameter became keyword-only"),
    ],
)
def test_a_changed_spelling_is_caught(function: object, breach: str) -> None:
    assert spelled(function, keep=SPELLINGS["list_models"]) != SPELLINGS["list_models"], breach


TRACKING = {
    "start": "self, picture, box_xyxy, id=None, *, color=None",
    "start_at": "self, picture, point_xy, id=None, *, color=None",
    "__call__": "self, picture, *, color=None",
    "stop": "self, id",
    "stream": "self, source, box_xyxy=None, *, color=None",
}


@pytest.mark.parametrize("name", TRACKING)
def test_a_tracker_is_called_as_it_always_was(name: str) -> None:
    assert spelled(getattr(edgevit.TrackSession, name), keep=TRACKING[name]) == TRACKING[name]


def test_a_tracker_s_bundle_opens_as_a_track_session(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    import blob_onnx
    import red_box

    place = blob_onnx.write(tmp_path / "blob").path
    tracker: edgevit.TrackSession = edgevit.load(place, task="track")
    with tracker:
        assert type(tracker) is type(edgevit.load(place)) is edgevit.TrackSession
        track: edgevit.Track = tracker.start(red_box.frames(1)[0], (40, 40, 64, 60))
        tracks: edgevit.Tracks = tracker(red_box.picture(1), color="rgb")
    assert type(track) is edgevit.Track
    assert type(tracks) is edgevit.Tracks
    with pytest.raises(edgevit.EdgevitError, match="is made to track, and a bundle made to classify is needed here"):
        edgevit.load(place, task="classify")


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(AttributeError, match=r"module 'edgevit' has no attribute 'lode'; it has Bundle, .*verify"):
        _ = edgevit.lode
    assert not hasattr(edgevit, "__path_of_nothing__")


WITHOUT = """
import sys
sys.modules["{absent}"] = None
import edgevit
try:
    {call}
except edgevit.EdgevitError as exc:
    print(type(exc).__name__, exc)
"""


@pytest.mark.parametrize("absent", ["torch", "timm"])
@pytest.mark.parametrize(
    "call", ["edgevit.export('shvit_shapes', format='onnx')", "edgevit.create_model('levit_128s')"]
)
def test_the_face_without_torch_or_timm_says_what_to_install(absent: str, call: str) -> None:
    program = WITHOUT.format(absent=absent, call=call)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    extra = "export" if "export(" in call else "models"
    assert done.stdout.startswith("MissingDependencyError "), done.stderr
    assert f"needs the package '{absent}', which is not installed. Type: pip install 'edgevit[{extra}]'" in done.stdout


def test_a_submodule_is_not_a_door() -> None:
    """``edgevit.runtime`` exists once it was imported; before that the face does not open rooms by itself."""
    assert not {"runtime", "exporters", "kernels", "apps", "devices", "models"} & set(edgevit._DOORS)


def test_the_version_is_one_that_pip_understands() -> None:
    from packaging.version import Version

    assert str(Version(edgevit.__version__)) == edgevit.__version__
