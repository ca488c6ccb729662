"""The library is found, checked and chosen; a wrong one is refused; the C++ self-test passes here and on ARM."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edgevit import kernels
from edgevit.errors import EdgevitError, EnvironmentFault, UnknownNameError
from edgevit.kernels import choice, library
from edgevit.spec import ImageSpec

NATIVE = Path(__file__).resolve().parents[2] / "kernels" / "native"
SOURCES = [str(path) for path in sorted(NATIVE.rglob("*.cpp"))]
FLAGS = ["-std=c++17", "-O1", "-ffp-contract=off", f"-I{NATIVE}", *SOURCES]


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """Let the room look for its library in an empty folder only."""
    monkeypatch.delenv(choice.PLACE, raising=False)
    monkeypatch.delenv(choice.WISH, raising=False)
    monkeypatch.setattr(kernels, "__path__", [str(tmp_path)])
    forget()
    yield tmp_path
    forget()


def forget() -> None:
    choice._chosen.cache_clear()
    choice._opened.cache_clear()


def test_without_a_library_numpy_works_in_silence(nowhere: Path, recwarn: pytest.WarningsRecorder) -> None:
    assert kernels.status()["implementation"] == "numpy"
    assert kernels.status()["library"] is None
    assert kernels.prepare(np.zeros((4, 4, 3), np.uint8), ImageSpec((2, 2), (2, 2)), color="rgb").shape == (1, 3, 2, 2)
    assert not recwarn.list


def test_the_library_is_found_in_every_folder_of_the_room(
    nowhere: Path, native_library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = nowhere / "second"
    second.mkdir()
    shutil.copy(native_library, second / library._FILE)
    monkeypatch.setattr(kernels, "__path__", [str(nowhere), str(second)])
    report = kernels.status()
    assert report["library"] == str(second / library._FILE)
    assert report["implementation"] in ("scalar", "avx2", "neon")
    assert report["architectures"][:2] == ["numpy", "scalar"]
    assert report["fault"] is None


def test_a_damaged_library_is_named_once_and_numpy_works(nowhere: Path) -> None:
    (nowhere / library._FILE).write_bytes(b"not a library")
    with pytest.warns(RuntimeWarning, match=r"cannot be opened as edgevit's kernels .*numpy does the work") as seen:
        names = {choice.active().name for _ in range(3)}
    assert names == {"numpy"}
    assert len(seen) == 1
    assert "cannot be opened" in str(kernels.status()["fault"])


@pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler on this machine")
@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ('extern "C" int edgevit_kernels_abi() { return 77; }', "is of ABI 77, this edgevit needs 2"),
        ("int another_library() { return 1; }", "cannot be opened as edgevit's kernels"),
    ],
)
def test_a_library_of_another_age_is_refused(nowhere: Path, code: str, sentence: str) -> None:
    (nowhere / "old.cpp").write_text(code)
    subprocess.run(["g++", "-shared", "-fPIC", "-o", nowhere / library._FILE, nowhere / "old.cpp"], check=True)
    with pytest.warns(RuntimeWarning, match=sentence):
        assert choice.active().name == "numpy"


def test_a_library_that_is_named_but_missing_is_said(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(choice.PLACE, str(nowhere / "gone.so"))
    with pytest.warns(RuntimeWarning, match=r"gone\.so cannot be opened"):
        assert choice.active().name == "numpy"


def test_an_unknown_wish_names_the_known_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(choice.WISH, "avx9")
    with pytest.raises(UnknownNameError, match=r"'avx9'.*numpy, scalar, avx2, neon"):
        choice.active()


def test_a_wish_without_a_library_is_an_error(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(choice.WISH, "scalar")
    with pytest.raises(EnvironmentFault, match="installed without its native library"):
        choice.active()
    (nowhere / library._FILE).write_bytes(b"not a library")
    forget()
    with pytest.raises(EnvironmentFault, match="cannot be opened"):
        choice.active()


def test_a_wish_for_another_processor_is_an_error(native_library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    have = library.Library(native_library).architectures()
    absent = next(name for name in ("neon", "avx2") if name not in have)
    monkeypatch.setenv(choice.PLACE, str(native_library))
    monkeypatch.setenv(choice.WISH, absent)
    with pytest.raises(EnvironmentFault, match=f"'{absent}', which this machine lacks. It has: numpy, scalar"):
        choice.active()


def test_a_refusal_of_the_library_is_raised(native_library: Path) -> None:
    opened = library.Library(native_library)
    with pytest.raises(EdgevitError, match="refused 'normalise': an argument that the library refuses"):
        opened.call("normalise", None, 0, 1, 1, None, None, 0, 0, 0)


def test_the_header_and_python_agree_on_the_age() -> None:
    assert f"#define EDGEVIT_KERNELS_ABI {library.ABI}\n" in (NATIVE / "kernels.h").read_text()


def test_importing_the_room_opens_no_library_and_no_engine() -> None:
    code = (
        "import sys, edgevit; assert 'edgevit.kernels' not in sys.modules and 'numpy' not in sys.modules\n"
        "import edgevit.kernels as k; from edgevit.kernels import choice\n"
        "assert choice._opened.cache_info().misses == 0\n"
        "assert not {'torch', 'cv2', 'PIL', 'onnxruntime'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=NATIVE.parents[1])


@pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler on this machine")
@pytest.mark.slow
def test_the_self_test_passes_and_nothing_is_read_outside(tmp_path: Path) -> None:
    program = str(tmp_path / "selftest")
    watched = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    if subprocess.run(["g++", *watched, *FLAGS, "-o", program], capture_output=True).returncode:
        subprocess.run(["g++", *FLAGS, "-o", program], check=True)  # a compiler without its sanitizers
    assert "scalar: equal" in subprocess.run([program], check=True, capture_output=True, text=True).stdout


CROSS, EMULATOR = shutil.which("aarch64-linux-gnu-g++"), shutil.which("qemu-aarch64-static")


@pytest.mark.skipif(not (CROSS and EMULATOR), reason="g++-aarch64-linux-gnu or qemu-user-static is not installed")
@pytest.mark.slow
def test_neon_equals_scalar_under_an_emulator(tmp_path: Path) -> None:
    assert CROSS
    assert EMULATOR
    program = str(tmp_path / "selftest")
    subprocess.run([CROSS, "-static", *FLAGS, "-o", program], check=True)
    assert "neon: equal" in subprocess.run([EMULATOR, program], check=True, capture_output=True, text=True).stdout


@pytest.mark.skipif(shutil.which("gcc") is None, reason="no C compiler on this machine")
def test_the_example_at_the_top_of_the_header_does_what_python_does(native_library: Path, tmp_path: Path) -> None:
    header = (NATIVE / "kernels.h").read_text()
    example = header[header.index("       enum { W = 1280") : header.index("   Keep weights and table")]
    (tmp_path / "app.c").write_text(
        '#include <math.h>\n#include <stdio.h>\n#include <stdlib.h>\n#include "kernels.h"\n'
        "static unsigned char pixels[1280 * 720 * 3];\n"
        "int main(void) {\nfloat mean[3] = {0.485f, 0.456f, 0.406f}, std[3] = {0.229f, 0.224f, 0.225f};\n"
        "if (fread(pixels, 1, sizeof pixels, stdin) != sizeof pixels) return 9;\n"
        + example
        + "fwrite(tensor, 4, 3 * SIZE * SIZE, stdout);\nreturn fault;\n}\n"
    )
    program = tmp_path / "app"
    link = [str(native_library), f"-Wl,-rpath,{native_library.parent}", "-lm"]
    subprocess.run(["gcc", f"-I{NATIVE}", str(tmp_path / "app.c"), "-o", str(program), *link], check=True)
    frame = np.random.default_rng(0).integers(0, 256, (720, 1280, 3), dtype=np.uint8)
    answer = subprocess.run([str(program)], input=frame.tobytes(), check=True, capture_output=True).stdout
    wanted = kernels.prepare(frame, ImageSpec((224, 224), (256, 256)), color="rgb")
    np.testing.assert_array_equal(np.frombuffer(answer, np.float32).reshape(wanted.shape), wanted)


@pytest.mark.skipif(not (shutil.which("cmake") and shutil.which("g++")), reason="cmake or g++ is not installed")
@pytest.mark.slow
def test_cmake_installs_the_library_where_the_wheel_wants_it(tmp_path: Path) -> None:
    build, prefix = tmp_path / "build", tmp_path / "prefix"
    for command in (
        f"cmake -S {NATIVE} -B {build} -DSKBUILD=2 -DCMAKE_BUILD_TYPE=Debug",
        f"cmake --build {build}",
        f"cmake --install {build} --prefix {prefix}",
    ):
        subprocess.run(shlex.split(command), check=True, capture_output=True)
    files = [path.relative_to(prefix) for path in prefix.rglob("*") if path.is_file()]
    assert files == [Path("edgevit/kernels") / library._FILE]
    assert library.Library(prefix / files[0]).abi == library.ABI
