"""The device `host` holds the facts of the machine it is asked on, and only those that can be read."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import pytest

from edgevit.devices import Cpu, load_device, this_machine
from edgevit.devices import device as facts
from edgevit.devices.this_machine import fill_host, isa_of

N100 = (
    "processor\t: 0\nvendor_id\t: GenuineIntel\nmodel name\t: Intel(R) N100\n"
    "flags\t\t: sse4_2 avx avx2 fma f16c avx_vnni\n"
)
PI5 = "processor\t: 0\nBogoMIPS\t: 108.00\nFeatures\t: fp asimd evtstrm fphp asimdhp cpuid asimddp\n"


def test_host_is_filled_from_this_machine() -> None:
    host = load_device("host")
    assert host.cpu is not None
    assert host.cpu.cores == os.cpu_count()
    assert set(host.cpu.isa) <= set(facts.ISA_WORDS)
    assert host.cpu.isa, "every machine that runs the tests is x86-64 or 64-bit Arm"
    assert all(0.1 <= gib < 100_000 for gib in host.memory_gib)


@pytest.mark.skipif(not Path("/proc/meminfo").exists(), reason="only Linux tells its memory a second way")
def test_the_memory_is_what_the_kernel_says() -> None:
    kib = int(Path("/proc/meminfo").read_text(encoding="ascii").split()[1])
    assert load_device("host").memory_gib == pytest.approx((kib / 2**20,), abs=0.1)


@pytest.mark.parametrize(
    ("cpuinfo", "machine", "expected"),
    [
        (N100, "x86_64", ("x86-64", "sse4.2", "avx", "avx2", "fma", "f16c", "vnni")),
        ("flags : avx512f avx512_vnni avx512_bf16 amx_tile\n", "AMD64", ("x86-64", "avx512", "vnni", "bf16", "amx")),
        (PI5, "aarch64", ("armv8-a", "neon", "fp16", "dotprod")),
        ("", "arm64", ("armv8-a", "neon")),
        ("", "riscv64", ()),
        ("nonsense", "x86_64", ("x86-64",)),
    ],
)
def test_instruction_sets_are_read_from_cpuinfo(cpuinfo: str, machine: str, expected: tuple[str, ...]) -> None:
    found = isa_of(cpuinfo, machine)
    assert set(found) == set(expected)
    assert found[:1] == expected[:1]
    assert len(set(found)) == len(found)


def test_what_only_some_cores_can_do_does_not_count() -> None:
    big_and_little = PI5 + PI5.replace(" asimddp", "")
    assert "dotprod" in isa_of(PI5, "aarch64")
    assert "dotprod" not in isa_of(big_and_little, "aarch64")
    assert "fp16" in isa_of(big_and_little, "aarch64")


def test_every_word_of_a_processor_flag_is_a_word_of_the_file_format() -> None:
    assert set(this_machine._WORD_OF_FLAG.values()) <= set(facts.ISA_WORDS)


def test_a_board_is_named_by_its_device_tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cpuinfo").write_text(PI5, encoding="ascii")
    (tmp_path / "model").write_bytes(b"Raspberry Pi 5 Model B Rev 1.0\0")
    monkeypatch.setattr(this_machine, "_CPUINFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(this_machine, "_BOARD", tmp_path / "model")
    assert load_device("host").soc == facts.Soc("Raspberry Pi 5 Model B Rev 1.0")


def test_a_pc_is_named_by_its_processor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cpuinfo").write_text(N100, encoding="ascii")
    monkeypatch.setattr(this_machine, "_CPUINFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(this_machine, "_BOARD", tmp_path / "none")
    assert load_device("host").soc == facts.Soc("Intel(R) N100", "Intel")


def test_a_machine_that_tells_nothing_has_absent_facts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str) -> int:
        raise ValueError(name)

    monkeypatch.setattr(this_machine, "_CPUINFO", tmp_path / "none")
    monkeypatch.setattr(this_machine, "_BOARD", tmp_path / "none")
    monkeypatch.setattr(os, "sysconf", refuse)
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    monkeypatch.setattr("platform.processor", lambda: "")
    monkeypatch.setattr("platform.machine", lambda: "mystery")
    host = load_device("host")
    assert host.soc is None
    assert set(host.to_dict()) == {"slug", "name", "kind", "prefer", "minimum"}


def test_facts_of_the_file_win_over_those_of_the_machine() -> None:
    mine = dataclasses.replace(load_device("host"), cpu=Cpu(cores=3), memory_gib=(1.0,))
    filled = fill_host(mine)
    assert filled.cpu == Cpu(cores=3)
    assert filled.memory_gib == (1.0,)
