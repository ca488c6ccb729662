"""Turn the text of a device file into a ``Device``; the file format is laid down in this room's ``__init__``."""

from __future__ import annotations

import re
import sys
from typing import Any

from edgevit.errors import SpecError

from . import device as facts
from .table import Table

_VERSION = re.compile(r"\d+(\.\d+){0,3}")
_TARGET = re.compile(r"(iOS|macOS)\d+")
_RUNTIMES = ("jetpack", "tensorrt", "onnxruntime", "litert", "openvino", "executorch")


def read_device(content: bytes, slug: str, file: str) -> facts.Device:
    """Read a device file that is already in memory; ``file`` is what error messages call it."""
    top = Table(_parsed(content, file), file)
    memory, camera = top.table("memory"), top.table("camera")
    device = facts.Device(
        slug=slug,
        name=top.need_text("name"),
        kind=top.need_text("kind", facts.KINDS),
        year=top.whole("year", range(1980, 2101)),
        notes=top.texts("notes"),
        soc=_soc(top.table("soc")),
        cpu=_cpu(top.table("cpu")),
        memory_gib=memory.need_sizes("gib") if memory else (),
        accelerators=tuple(map(_accelerator, top.tables("accelerator"))),
        prefer=_prefer(top.need_table("prefer")),
        minimum=_minimum(top.table("minimum")),
        pixel_formats=camera.need_texts("pixel_formats", facts.PIXEL_FORMATS) if camera else (),
        sources=tuple(map(_source, top.tables("source"))),
    )
    for table in (memory, camera, top):
        if table:
            table.close()
    return device


def _parsed(content: bytes, file: str) -> dict[str, Any]:
    if sys.version_info >= (3, 11):
        import tomllib
    else:  # Python 3.10 is what JetPack 6 has.
        import tomli as tomllib
    try:
        data: dict[str, Any] = tomllib.loads(content.decode("utf-8"))
    except UnicodeDecodeError as exc:
        raise SpecError(f"{file}: byte {exc.start} is not UTF-8 text; a device file is TOML in UTF-8.") from exc
    except (ValueError, RecursionError) as exc:  # Also numbers and nests too long for Python.
        raise SpecError(
            f"{file}: not valid TOML: {exc}. Type: python -m pydoc edgevit.devices to read about the file format"
        ) from exc
    return data


def _soc(table: Table | None) -> facts.Soc | None:
    if table is None:
        return None
    soc = facts.Soc(table.need_text("name"), table.text("maker"))
    table.close()
    return soc


def _cpu(table: Table | None) -> facts.Cpu | None:
    if table is None:
        return None
    cpu = facts.Cpu(table.whole("cores", range(1, 1025)), table.texts("clusters"), table.texts("isa", facts.ISA_WORDS))
    table.close()
    return cpu


def _accelerator(table: Table) -> facts.Accelerator:
    unit = facts.Accelerator(table.need_text("kind", facts.ACCELERATORS), table.need_text("name"), table.text("note"))
    table.close()
    return unit


def _prefer(table: Table) -> facts.Prefer:
    prefer = facts.Prefer(
        table.need_texts("formats", facts.FORMATS),
        table.need_text("precision", facts.PRECISIONS),
        table.need_text("reason"),
    )
    table.close()
    return prefer


def _minimum(table: Table | None) -> facts.Minimum:
    if table is None:
        return facts.Minimum()
    minimum = facts.Minimum(
        os=table.text("os"),
        **{name: _matching(table, name, _VERSION, "a version as text, such as '1.16'") for name in _RUNTIMES},
        opset=table.whole("opset", facts.OPSETS),
        deployment_target=_matching(table, "deployment_target", _TARGET, "iOS or macOS and a number, such as 'iOS17'"),
    )
    table.close()
    return minimum


def _source(table: Table) -> facts.Source:
    url = table.need_text("url")
    if not re.fullmatch(r"https://[\w.-]+\.\w+(/\S*)?", url):
        raise table.fault("url", "an https address")
    source = facts.Source(title=table.need_text("title"), url=url, backs=table.need_text("for"))
    table.close()
    return source


def _matching(table: Table, key: str, pattern: re.Pattern[str], expected: str) -> str | None:
    value = table.text(key)
    if value is not None and not pattern.fullmatch(value):
        raise table.fault(key, expected)
    return value
