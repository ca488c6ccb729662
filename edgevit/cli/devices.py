"""Tell what is known of the devices that models are exported for."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from ..registry import door
from . import console

if TYPE_CHECKING:
    from edgevit.devices import Device

HELP = """List the devices, or tell what is known of one and from which source.

  edgevit devices
  edgevit devices pixel-8
  edgevit devices ./my-board.toml    a device file of your own
  edgevit devices host               this machine"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("name", nargs="?", metavar="NAME", help="a device's name, or a TOML file of your own")


def run(args: argparse.Namespace) -> int:
    """Print the table, or one device."""
    if args.name:
        return _tell(door("edgevit.devices:load_device")(args.name), args.json)
    from .. import list_devices

    devices = list_devices()
    if args.json:
        console.answer({"devices": [d.to_dict() for d in devices]})
        return 0
    rows = [
        (d.slug, d.name, d.kind, d.prefer.formats[0], d.prefer.precision, d.soc.name if d.soc else "-") for d in devices
    ]
    console.table(("device", "name", "kind", "format", "precision", "chip"), rows)
    console.say("\nType: edgevit devices NAME for its facts, edgevit export MODEL --device NAME to export for it.")
    return 0


def _tell(device: Device, as_json: bool) -> int:
    if as_json:
        console.answer(device.to_dict())
        return 0
    pairs = [("device", device.slug), ("name", device.name), ("kind", device.kind)]
    pairs += [("year", str(device.year))] if device.year else []
    if device.soc:
        pairs.append(("chip", " ".join(filter(None, [device.soc.maker, device.soc.name]))))
    if device.cpu:
        cores = f"{device.cpu.cores} cores" if device.cpu.cores else ""
        pairs.append(("cpu", ", ".join(filter(None, [cores, *device.cpu.clusters])) or "not known"))
        pairs += [("instructions", " ".join(device.cpu.isa))] if device.cpu.isa else []
    pairs += [("memory", " or ".join(f"{gib:g}" for gib in device.memory_gib) + " GiB")] if device.memory_gib else []
    pairs += [(a.kind, a.name + (f" ({a.note})" if a.note else "")) for a in device.accelerators]
    pairs.append(("prefers", f"{', then '.join(device.prefer.formats)}; {device.prefer.precision}"))
    pairs.append(("because", device.prefer.reason))
    minimum = {k.replace("_", " "): v for k, v in device.to_dict().get("minimum", {}).items()}
    pairs += [("at least", ", ".join(f"{k} {v}" for k, v in minimum.items()))] if minimum else []
    pairs += [("camera", ", ".join(device.pixel_formats))] if device.pixel_formats else []
    pairs += [("note", note) for note in device.notes]
    pairs += [("source", f"{s.title} ({s.backs})\n{s.url}") for s in device.sources]
    console.facts(pairs)
    console.say(f"\nType: edgevit export MODEL --device {device.slug}")
    return 0
