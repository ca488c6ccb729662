"""Answer for pictures over HTTP with a folder of bundles: POST a picture to /v1/NAME, get JSON."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..registry import door
from . import console
from .bundles import find_bundle
from .parsing import duration, positive, whole

if TYPE_CHECKING:
    from edgevit.apps.serve.serving import Started
    from edgevit.apps.serve.shelf import Served

HELP = """Answer for pictures over HTTP with all bundles of a folder, one engine each: POST /v1/NAME with a picture as
the body. GET /v1 lists them, / shows the OpenAPI document as a page, /health and /metrics are for machines. Only this
machine is answered unless another address is typed; then a token is required: EDGEVIT_TOKEN's, or one that is made and
shown once.

  edgevit serve bundles/                        http://127.0.0.1:8080/
  edgevit serve bundles/ 0.0.0.0:8080           from other machines, with a token
  edgevit serve shvit_shapes 9000
  curl --data-binary @picture.jpg http://127.0.0.1:9000/v1/shvit_shapes
  curl --data-binary @000.png 'http://127.0.0.1:9000/v1/hit_nano?box=x,y,width,height'   a tracker"""

_DEFAULT = "8080"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("dir", metavar="DIR", help="a folder of bundles, one bundle, or a model that ships with one")
    parser.add_argument(
        "address", nargs="?", default=_DEFAULT, metavar="[HOST:]PORT", help=f"where to listen (default: {_DEFAULT})"
    )
    parser.add_argument("--token", metavar="T", help="the token, better in EDGEVIT_TOKEN: others see a command line")
    parser.add_argument(
        "--allow-host", action="append", default=[], metavar="NAME", help="a name of this server; repeat for more"
    )
    parser.add_argument("--queue", type=whole(1, 10_000), default=16, metavar="N", help="requests that may wait (16)")
    parser.add_argument("--timeout", type=duration, default=30.0, metavar="T", help="the longest answer (30s)")
    parser.add_argument(
        "--max-body", type=whole(1, 1024), default=16, metavar="MB", help="the largest picture file (16)"
    )
    parser.add_argument("--rate", type=positive, default=100.0, metavar="N", help="requests a second a client (100)")
    parser.add_argument("--log", action="store_true", help="write a line for each answer to stderr")
    parser.add_argument("--engine", metavar="E", help="another engine than the formats' own")
    parser.add_argument("--threads", type=whole(1, 1024), metavar="N", help="threads of each engine")
    parser.add_argument("--precision", metavar="P", help="what the engines compute in (default: exact fp32)")


def run(args: argparse.Namespace) -> int:
    """Serve until a signal ends it; what is in flight is finished first."""
    address = door("edgevit.apps.web.address:parse_address")(args.address)
    place = find_bundle(args.dir)
    wishes = door("edgevit.apps.serve.serving:Wishes")(
        name=None if place == Path(args.dir) else args.dir,  # a bundle that ships is known by its model's name
        token=args.token,
        hosts=tuple(args.allow_host),
        engine=args.engine,
        threads=args.threads,
        precision=args.precision,
        depth=args.queue,
        timeout_s=args.timeout,
        most_body_bytes=args.max_body << 20,
        rate_per_s=args.rate,
    )
    door("edgevit.apps.serve.serving:serve")(
        place,
        address,
        wishes,
        on_start=_machine_start if args.json else _start,
        on_open=None if args.json else _opened,
        note=console.note,
        log=console.note if args.log else None,
    )
    return 0


def _opened(one: Served) -> None:
    manifest = one.bundle.manifest
    mark = "" if manifest.trained else ", UNTRAINED"
    console.note(f"{one.name}: {manifest.model}, {manifest.format} {manifest.precision}{mark} ({one.engine})")


def _start(started: Started) -> None:
    for name, why in started.shelf.refused.items():
        console.note(f"not served: {name}: {why}")
    names = list(started.shelf.served)
    console.say(f"Serving {', '.join(names)} at {started.url}")
    sys.stdout.flush()  # who reads a pipe waits for this line
    if started.protected:
        console.note("A token is asked for: -H 'Authorization: Bearer TOKEN'; a browser opens /?token=TOKEN once.")


def _machine_start(started: Started) -> None:
    told: dict[str, Any] = {"url": started.url, "address": str(started.address), "protected": started.protected}
    console.answer({**told, "served": list(started.shelf.served), "refused": started.shelf.refused})
