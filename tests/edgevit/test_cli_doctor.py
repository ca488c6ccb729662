"""The doctor finds what is there, names what is missing with its pip line, and dies of neither."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgevit.cli import doctor, main, packages
from edgevit.cli.packages import PACKAGES, Package, lacking, older, version_of

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Choose what is installed."""
    versions: dict[str, str] = {}
    monkeypatch.setattr(doctor, "version_of", lambda package: versions.get(package.module))
    return versions


def told(capsys: Capture, *words: str) -> Any:
    assert main(["doctor", "--json", *words]) == 0
    return json.loads(capsys.readouterr().out)


def test_it_tells_the_machine_and_the_kernels(capsys: Capture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EDGEVIT_CACHE", str(tmp_path / "not" / "yet"))
    found = told(capsys)
    assert found["cores"] >= 1
    assert found["memory_bytes"] > 1 << 20
    assert found["cache"] == str(tmp_path / "not" / "yet")
    assert found["cache_free_bytes"] > 0
    assert found["kernels"]["implementation"]
    assert [p["package"] for p in found["packages"]] == [p.name for p in PACKAGES]
    assert not (tmp_path / "not").exists()


def test_what_is_missing_has_one_pip_line_an_extra(installed: dict[str, str], capsys: Capture) -> None:
    assert main(["doctor"]) == 0
    text = capsys.readouterr().out
    assert "  pip install 'edgevit[onnx]'  # onnxruntime" in text
    assert "  pip install 'edgevit[models]'  # rich, torch, torchvision, timm, safetensors, huggingface_hub" in text
    assert "No engine is installed: nothing can be run." in text
    assert "opencv-python    " in text
    assert "# opencv" not in text
    assert "edgevit[]" not in text


def test_nothing_is_missing_where_all_is_there(installed: dict[str, str], capsys: Capture) -> None:
    installed.update({p.module: "9999.0" for p in PACKAGES}, numpy="2.0")
    assert told(capsys)["install"] == []
    assert main(["doctor"]) == 0
    text = capsys.readouterr().out
    assert "missing" not in text
    assert "pip install" not in text


def test_an_engine_that_is_too_old_is_told(installed: dict[str, str], capsys: Capture) -> None:
    installed.update({"onnxruntime": "1.9.0"})
    found = told(capsys)
    (engine,) = [p for p in found["packages"] if p["package"] == "onnxruntime"]
    assert engine["too_old"] == "needs 1.16 or newer"
    assert any("edgevit[onnx]" in line for line in found["install"])


def test_deep_imports_in_a_process_of_its_own(monkeypatch: pytest.MonkeyPatch, capsys: Capture, tmp_path: Path) -> None:
    (tmp_path / "good.py").write_text("x = 1\n")
    (tmp_path / "bad.py").write_text("raise OSError('libGL.so.1: cannot open shared object file')\n")
    (tmp_path / "crash.py").write_text("import os\nos._exit(7)\n")
    (tmp_path / "slow.py").write_text("import time\ntime.sleep(60)\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(doctor, "PACKAGES", tuple(Package(n, (n,), "run it", "onnx") for n in ("good", "bad", "crash")))
    monkeypatch.setattr(doctor, "version_of", lambda package: "1.0")
    good, bad, crash = told(capsys, "--deep")["packages"]
    assert good["import_s"] >= 0
    assert bad["import_fault"] == "OSError: libGL.so.1: cannot open shared object file"
    assert crash["import_fault"] == "the process ended with 7"
    assert main(["doctor", "--deep"]) == 0
    assert "libGL.so.1" in capsys.readouterr().out
    monkeypatch.setattr(doctor, "PACKAGES", (Package("slow", ("slow",), "run it", "onnx"),))
    monkeypatch.setattr(doctor, "_IMPORT_LIMIT_S", 0.3)
    assert "took more than" in told(capsys, "--deep")["packages"][0]["import_fault"]


def test_broken_kernels_do_not_kill_the_doctor(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    from edgevit.registry import door as real

    def door(target: str) -> Any:
        if target == "edgevit.kernels:status":
            raise OSError("wrong ELF class")
        return real(target)

    monkeypatch.setattr("edgevit.cli.doctor.door", door)
    assert told(capsys)["kernels"]["fault"] == "OSError: wrong ELF class"
    assert main(["doctor"]) == 0
    assert "fault: OSError: wrong ELF class" in capsys.readouterr().out


def test_versions_are_found_by_any_distribution_or_by_the_module() -> None:
    assert version_of(Package("pytest", ("no-such-dist", "pytest"), "", "")) == pytest.__version__
    assert version_of(Package("json", ("no-such-dist",), "", "")) == "?"
    assert version_of(Package("no_such_module", ("no-such-dist",), "", "")) is None


def test_every_extra_of_a_package_exists() -> None:
    tomllib = pytest.importorskip("tomllib")
    project = Path(__file__).parents[2] / "pyproject.toml"
    extras = tomllib.loads(project.read_text())["project"]["optional-dependencies"]
    for package in PACKAGES:
        if package.extra:
            wanted = " ".join(extras[package.extra]).replace("_", "-").lower()
            optional = package.module in packages.OPTIONAL
            assert optional or package.name.replace("_", "-").lower() in wanted, package.name


def test_a_failed_import_of_a_known_package_gets_its_pip_line() -> None:
    fault = lacking(ModuleNotFoundError("x", name="litert_torch.quantize"), "export")
    assert str(fault) == (
        "edgevit export needs the package 'litert-torch', which is not installed. Type: pip install 'edgevit[export]'"
    )
    without_extra = lacking(ModuleNotFoundError("x", name="cv2"), "track")
    assert str(without_extra).endswith("'opencv-python', which is not installed. Type: pip install opencv-python")
    assert lacking(ModuleNotFoundError("x", name="edgevit.gone"), "export") is None


@pytest.mark.parametrize(
    ("version", "minimum", "is_older"),
    [("1.9", "1.16", True), ("1.16.0", "1.16", False), ("2024.6.0rc1", "2024.6", False), ("2.0+cpu", "2.1", True)],
)
def test_versions_are_compared_as_numbers(version: str, minimum: str, is_older: bool) -> None:
    assert older(version, minimum) is is_older


@given(st.lists(st.integers(0, 99), min_size=1, max_size=4), st.lists(st.integers(0, 99), min_size=1, max_size=4))
def test_older_is_the_order_of_numbers(a: list[int], b: list[int]) -> None:
    assert older(".".join(map(str, a)), ".".join(map(str, b))) is (a < b)
