"""Names are found however they are spelled, unknown ones are answered, and asking loads nothing heavy."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgevit.devices import list_devices, load_device
from edgevit.errors import SpecError, UnknownNameError, UnsupportedError

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("spelled", "slug"),
    [
        ("Pixel 8", "pixel-8"),
        ("pixel_8", "pixel-8"),
        ("PIXEL8", "pixel-8"),
        (" iPhone 15 Pro ", "iphone-15-pro"),
        ("Jetson  Orin Nano", "jetson-orin-nano"),
        ("x86_64", "x86-64"),
        ("Raspberry Pi Zero 2 W", "raspberry-pi-zero-2w"),
    ],
)
def test_a_name_is_found_however_it_is_spelled(spelled: str, slug: str) -> None:
    assert load_device(spelled).slug == slug


@given(
    slug=st.sampled_from([device.slug for device in list_devices()]),
    separators=st.lists(st.sampled_from(["", " ", "_", "-", "."]), min_size=5, max_size=5),
    shout=st.booleans(),
)
def test_separators_and_capitals_do_not_matter(slug: str, separators: list[str], shout: bool) -> None:
    parts = slug.split("-")
    spelled = "".join(part + mark for part, mark in zip(parts, separators, strict=False))
    assert load_device(spelled.upper() if shout else spelled).slug == slug


@pytest.mark.parametrize(
    ("spelled", "near"),
    [("pixle-8", "pixel-8"), ("iphone-15-max", "iphone-15"), ("google pixel 9", "pixel-9"), ("rk3566", "rk3588")],
)
def test_an_unknown_name_is_answered_with_the_nearest(spelled: str, near: str) -> None:
    with pytest.raises(UnknownNameError) as caught:
        load_device(spelled)
    assert f"'{spelled}'" in str(caught.value)
    assert near in str(caught.value).partition("Did you mean ")[2]
    assert "edgevit devices" in str(caught.value)


@pytest.mark.parametrize("name", ["", "zzzzzz", "../../etc/passwd", "pixel-8/../host"])
def test_a_name_like_no_other_is_answered_too(name: str) -> None:
    with pytest.raises(UnknownNameError, match="Type: edgevit devices"):
        load_device(name)


def test_the_path_of_a_toml_file_is_a_name_too(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes((ROOT / "devices" / "pixel-8.toml").read_bytes())
    assert load_device(str(path)).slug == "mine"
    path.write_text("name = 1", encoding="utf-8")
    with pytest.raises(SpecError, match=r"mine\.toml"):
        load_device(str(path))


def test_the_first_preferred_format_that_is_available_is_chosen() -> None:
    phone = load_device("iphone-15-pro")
    assert phone.choose_format(["onnx", "coreml", "litert"]) == "coreml"
    assert phone.choose_format(["litert", "onnx"]) == "onnx"
    assert phone.choose_format({"litert": 1}) == "litert"


@pytest.mark.parametrize("available", [(), ("openvino", "tensorrt")])
def test_no_common_format_lists_both_sides(available: tuple[str, ...]) -> None:
    with pytest.raises(UnsupportedError) as caught:
        load_device("pixel-8").choose_format(available)
    for words in ["Pixel 8", "litert, executorch, onnx", ", ".join(available) or "nothing", "edgevit doctor"]:
        assert words in str(caught.value)


def test_facts_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        load_device("pixel-8").name = "other"  # type: ignore[misc]


def _python(code: str, path: Path) -> str:
    # An editable install's finder is an object, and goes before every path; Python's own finders are classes.
    alone = "sys.meta_path[:] = [finder for finder in sys.meta_path if isinstance(finder, type)]"
    run = subprocess.run(
        [sys.executable, "-I", "-c", f"import sys; {alone}; sys.path.insert(0, {str(path)!r})\n{code}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


def test_asking_for_devices_loads_nothing_heavy() -> None:
    heavy = "{'numpy', 'torch', 'onnxruntime', 'openvino', 'PIL', 'cv2'}"
    code = f"import edgevit.devices as d; d.list_devices(); print(sorted({heavy} & set(sys.modules)))"
    assert _python(code, ROOT).strip() == "[]"


def test_the_files_are_found_in_a_zip_too(tmp_path: Path) -> None:
    archive = tmp_path / "edgevit.zip"
    with zipfile.ZipFile(archive, "w") as zipped:
        zipped.writestr("edgevit/__init__.py", "")
        zipped.write(ROOT / "edgevit" / "errors.py", "edgevit/errors.py")
        for path in (ROOT / "devices").iterdir():
            if path.suffix in (".py", ".toml"):
                zipped.write(path, f"edgevit/devices/{path.name}")
    code = "import edgevit.devices as d; print(d.__file__); print(len(d.list_devices()), d.load_device('Pixel 8').slug)"
    lines = _python(code, archive).splitlines()
    assert lines[0].startswith(str(archive))
    assert lines[1] == f"{len(list_devices())} pixel-8"
