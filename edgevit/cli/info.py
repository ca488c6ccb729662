"""Tell what a bundle promises and where it is from, or what is known of a model. Bundles need no torch."""

from __future__ import annotations

import argparse
import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import BundleError, missing
from ..registry import MODELS, TASK_OF_FAMILY, door, family_of, unknown_name
from . import console, proof
from .bundles import bundles_in, shipped_bundle, size_text

if TYPE_CHECKING:
    from ..bundle import Bundle
    from ..spec import ImageSpec

HELP = """Tell what is known of a bundle (a folder or a .zip) or of a model (a name).

  edgevit info shvit_shapes-onnx-fp32    contract, provenance, proof; checksums are tested
  edgevit info levit_128s                family, size, preprocessing, licence
  edgevit info timm/resnet18"""

_LABELS_SHOWN = 6


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("what", metavar="BUNDLE|MODEL", help="a bundle's path, or a model's name")


def run(args: argparse.Namespace) -> int:
    """Print the facts of a bundle or of a model."""
    path = Path(args.what)
    if path.exists() or path.suffix.lower() == ".zip":
        return _tell_bundle(path, args.json)
    if args.what in MODELS or args.what.startswith("timm/"):
        return _tell_model(args.what, args.json)
    if len(path.parts) > 1:
        raise BundleError(f"{path}: there is no such bundle. Expected a bundle folder, its .zip, or a model's name.")
    known = [*MODELS, *(p.name for p in bundles_in(Path()))]
    raise unknown_name("bundle here, and no model,", args.what, known, ask="edgevit list")


def _tell_bundle(path: Path, as_json: bool) -> int:
    from ..bundle import open_bundle, summary

    bundle = open_bundle(path)
    if as_json:
        console.answer({**summary(bundle), "manifest": bundle.manifest.to_dict()})
        return 0
    if not bundle.manifest.trained:
        console.say("UNTRAINED: the weights are random; this bundle proves the conversion and recognises nothing.\n")
    console.facts(_contract(bundle) + _origin(bundle))
    console.say("\nproof")
    proof.show(bundle.manifest.verification)
    return 0


def _contract(bundle: Bundle) -> list[tuple[str, str]]:
    m = bundle.manifest
    graphs = "\n".join(f"{name}: {g.file} ({g.proven()})" for name, g in m.graphs.items())
    tensors = "\n".join(
        f"{name}: " + ", ".join(f"{t.name} {list(t.shape)} {t.dtype}" for t in (*g.inputs, *g.outputs))
        for name, g in m.graphs.items()
    )
    return [
        ("bundle", str(bundle.path)),
        ("model", m.model),
        ("task", m.task),
        ("format", f"{m.format}, {m.precision}" + (f", for {m.device}" if m.device else "")),
        ("engine", f"{m.engine.get('name', '?')} {m.engine.get('minimum', '')} or newer"),
        ("size", size_text(bundle.size_bytes)),
        ("graphs", graphs),
        ("tensors", tensors),
        *(("placement", text) for text in placement_texts(m.placement)),
        *(("on the board", line) for line in [_built_by_hand(m.verification)] if line),
        ("picture", picture_text(m.spec.image)),
        ("output", f"{m.spec.output} of {labels_text(m.spec.labels)}" if m.spec.track is None else m.spec.output),
        *((("crops", crops_text(m.spec.to_dict()["track"])),) if m.spec.track else ()),
        *(("state", f"{pair['from']} goes into {pair['to']}") for pair in m.state),
        *(("note", note) for note in m.spec.notes),
    ]


def _built_by_hand(verification: Mapping[str, Any]) -> str:
    """Return the vendor's command that builds the file where edgevit cannot run, if the proof holds one."""
    made = verification.get("file")
    return str(made.get("trtexec", "")) if isinstance(made, Mapping) else ""


def _origin(bundle: Bundle) -> list[tuple[str, str]]:
    p = bundle.manifest.provenance
    weights = [
        p.weights.source,
        p.weights.url,
        p.weights.note,
        f"sha256 {p.weights.sha256}" if p.weights.sha256 else "",
    ]
    return [
        ("weights", ("" if p.weights.trained else "UNTRAINED, ") + "\n".join(filter(None, weights))),
        ("licences", f"weights: {p.weights.licence}; code: {p.code_licence}"),
        ("calibration", ", ".join(f"{k} {v}" for k, v in (p.calibration or {}).items()) or "none"),
        ("made", " ".join(filter(None, [p.created, "by:" if p.command else "", p.command])) or "not said"),
        ("tools", ", ".join(f"{name} {version}" for name, version in p.tools.items()) or "not said"),
    ]


def picture_text(image: ImageSpec) -> str:
    """Say in one sentence how a picture becomes the input."""
    size, resize = ("x".join(map(str, pair)) for pair in (image.size_hw, image.resize_hw))
    how = {"shorter": "shorter side fitted to", "squash": "squashed to", "pad": "padded to"}[image.fit]
    plain = "" if image.antialias else ", without antialiasing"
    numbers = " ".join(f"{v:g}" for v in image.mean), " ".join(f"{v:g}" for v in image.std)
    inside = "; mean and std are in the file" if image.values == "levels" else ""
    return (
        f"{size} (height x width) from the centre, {how} {resize} ({image.interpolation}{plain})\n"
        f"{image.color.upper()}, mean {numbers[0]}, std {numbers[1]}{inside}"
    )


def crops_text(track: Mapping[str, Any]) -> str:
    """Say how a tracker's two pictures are cut."""
    cuts = [
        f"{what} {'x'.join(map(str, track[f'{what}_size_hw']))} of {track[f'{what}_factor']:g} times the target's size"
        for what in ("search", "template")
    ]
    return f"{', '.join(cuts)} ({track['crop']})"


def placement_texts(placement: Mapping[str, Any]) -> list[str]:
    """Say in a line a unit how many operators run where; "falls back" only of the unit that the bundle is meant for."""
    lines = []
    several = len({view["graph"] for view in placement.get("views", ())}) > 1
    for view in placement.get("views", ()):
        places = ", ".join(f"{count} on {where}" for where, count in view["places"].items())
        left = ", ".join(f"{op['count']} {op['op']}" for op in view["fallbacks"])
        decides = view.get("decides", True)
        unit = view["unit"] if decides else f"{view['unit']}, should the app not ask for another unit"
        told = f"; {'falls back' if decides else 'it would leave'}: {left}" if left else ""
        graph = f"{view['graph']}: " if several else ""
        lines.append(f"{graph}{unit} ({view['basis']}): {places}{told}")
    return lines


def labels_text(labels: tuple[str, ...]) -> str:
    """Count the labels and name the first ones."""
    if not labels:
        return "classes without names"
    more = " …" if len(labels) > _LABELS_SHOWN else ""
    return f"{len(labels)} classes: {'; '.join(labels[:_LABELS_SHOWN])}{more}"


def _tell_model(name: str, as_json: bool) -> int:
    facts = _model_facts(name)
    lacking = lacking_for_models()
    if not lacking:
        facts |= door("edgevit.models:describe")(name)
    elif name not in MODELS:
        raise missing(lacking[0], f"'{name}' is described by timm, which", "models")
    if as_json:
        console.answer(facts)
        return 0
    known = {key: value for key, value in facts.items() if value not in (None, "", (), [])}
    console.facts([(key.replace("_", " "), _text(key, value)) for key, value in known.items()])
    if lacking:
        console.note(f"More is known where {' and '.join(lacking)} are installed. Type: pip install 'edgevit[models]'")
    console.say(f"\nType: edgevit export {name} --format onnx")
    return 0


def lacking_for_models() -> list[str]:
    """Name the packages that models are defined with and that are not installed."""
    return [package for package in ("torch", "timm") if importlib.util.find_spec(package) is None]


def _model_facts(name: str) -> dict[str, Any]:
    from ..weights import shipped

    family = family_of(name)
    facts: dict[str, Any] = {"model": name, "family": family, "task": TASK_OF_FAMILY.get(family, "classify")}
    card = shipped().get(name)
    if card is not None:
        facts |= {
            "parameters": card.parameters,
            "labels": card.labels,
            "licence": card.licence,
            "accuracy": card.accuracy,
            "measure": card.measure,
            "weights": f"shipped, {size_text(card.bytes)}",
            "ready_bundle": str(shipped_bundle(name) or ""),
        }
    return facts


def _text(key: str, value: Any) -> str:
    if key == "input":
        from ..spec import ImageSpec

        return picture_text(ImageSpec(**value))
    if key == "track":
        return crops_text(value)
    if key == "labels":
        return labels_text(tuple(value))
    if isinstance(value, tuple | list):
        return "\n".join(map(str, value))
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else proof.figure(value)
