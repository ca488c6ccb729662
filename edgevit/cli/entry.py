"""Turn a command line into one verb's work, and every fault into one sentence and an exit code.

Exit codes: 0 done, 1 refused or failed, 2 usage, 3 environment, 130 interrupted, 141 the reader went away, 143 ended by
SIGTERM (129 by SIGHUP).
"""

from __future__ import annotations

import argparse
import errno
import os
import sys
import warnings
from collections.abc import Sequence
from types import ModuleType

from ..errors import EdgevitError
from ..registry import Registry
from . import console
from .ending import Ended, ending_in_order
from .parsing import Parser

_LINES = {
    "list": "models that can be exported",
    "info": "what a bundle promises, or what a model is",
    "devices": "what is known of phones, boards and computers",
    "export": "turn a model into a proven bundle",
    "verify": "prove a bundle again",
    "placement": "where a bundle's operators run, and which fall back",
    "matrix": "prove a table of models, formats and precisions",
    "predict": "run a bundle on pictures or a video",
    "track": "follow a target through a video",
    "run": "run a bundle live: cameras, streams, files; with a ledger of ages",
    "serve": "answer for pictures over HTTP with a folder of bundles",
    "val": "measure a bundle's accuracy on a folder of pictures",
    "build": "build on the device what TensorRT needs there",
    "bench": "measure a bundle's speed and memory on this machine",
    "doctor": "what this machine has, and what is missing",
}
"""The lines of the top help; a verb's own help says more. They stand here so that help imports no verb."""

VERBS = Registry("verb", {name: f"edgevit.cli.{name}" for name in _LINES}, ask="edgevit --help")

_STREAMING = ("predict", "track", "run")
"""Verbs that answer with JSON lines: an error among them would be taken for a result."""

_ENVIRONMENT = 3
_INTERRUPTED = 130
_BROKEN_PIPE = 141  # 128 + SIGPIPE, as a shell reports it


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code. No exception leaves it."""
    words = list(sys.argv[1:] if argv is None else argv)
    _fill_streams()
    # Pillow's word on large pictures names a line of its own; our limit has a sentence (edgevit/decoders.py).
    warnings.filterwarnings("ignore", message="Image size .* exceeds limit")
    try:
        with ending_in_order():
            code = _run(words)
            sys.stdout.flush()
        return code
    except SystemExit as stop:  # argparse, after --help and --version
        return stop.code if isinstance(stop.code, int) else 0
    except KeyboardInterrupt:
        return _INTERRUPTED
    except Ended as end:
        return end.exit_code
    except BrokenPipeError:
        _forget_stdout()
        return _BROKEN_PIPE
    except EdgevitError as fault:
        return _report(fault, fault.exit_code, str(fault), words)
    except ModuleNotFoundError as fault:
        from .packages import lacking

        known = lacking(fault, words[0])
        return _report(known, known.exit_code, str(known), words) if known else _report_bug(fault, words)
    except MemoryError as fault:
        return _report(fault, _ENVIRONMENT, "There is not enough memory for this. Close other programs.", words)
    except OSError as fault:
        where = f"{fault.filename}: " if fault.filename else ""
        advice = "Make room there" if fault.errno in (errno.ENOSPC, errno.EDQUOT) else "Check the path and your rights"
        return _report(fault, _ENVIRONMENT, f"{where}{fault.strerror or fault}. {advice}.", words)
    except Exception as fault:
        return _report_bug(fault, words)


def _run(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help", "help"):
        print(top_help())
        return 0
    if words[0] in ("-V", "--version"):
        from .. import __version__

        print(f"edgevit {__version__}")
        return 0
    name, rest = words[0], words[1:]
    if name.startswith("-"):
        Parser(prog="edgevit").error(f"the option {name} stands before the verb; a verb comes first")
    verb = VERBS.load(name)
    args = parser_of(name, verb).parse_args(rest)
    with console.answering(machine=args.json, lines=_to_stdout(args)):
        code: int = verb.run(args)
    return code


def _to_stdout(args: argparse.Namespace) -> bool:
    """Tell whether an output is stdout. Where ``--json`` writes the same lines there already, it is taken out."""
    outputs = getattr(args, "outputs", ())
    found = "-" in (*outputs, getattr(args, "save", None))
    if found and args.json:
        args.outputs = [output for output in outputs if output != "-"]
        if getattr(args, "save", None) == "-":
            args.save = None
    return found


def parser_of(name: str, verb: ModuleType) -> Parser:
    """Build the parser of one verb; ``--json`` and ``--verbose`` are everybody's."""
    parser = Parser(prog=f"edgevit {name}", description=verb.HELP, formatter_class=argparse.RawDescriptionHelpFormatter)
    verb.configure(parser)
    parser.add_argument("--json", action="store_true", help="answer in JSON on stdout, everything else on stderr")
    parser.add_argument("--verbose", action="store_true", help="show tracebacks and the converters' own output")
    return parser


def top_help() -> str:
    """Return the text of ``edgevit --help``."""
    verbs = "\n".join(f"  {name:<10} {line}" for name, line in _LINES.items())
    return (
        "usage: edgevit VERB ... [--json] [--verbose]\n\n"
        "Define a vision model once, run it on every edge device, and know that it is right there.\n\n"
        f"verbs:\n{verbs}\n\n"
        "edgevit VERB --help says more of one verb. A first round to type:\n"
        "  edgevit export shvit_shapes --format onnx\n"
        "  edgevit bench shvit_shapes-onnx-fp32\n\n"
        "exit codes: 0 done, 1 refused or failed, 2 usage, 3 this machine lacks something, 130 interrupted"
    )


def _report_bug(fault: Exception, words: Sequence[str]) -> int:
    reason = " ".join(str(fault).split()) or "no reason given"
    sentence = (
        f"{type(fault).__name__}: {reason}. This is a bug in edgevit, please report it; "
        "run again with --verbose for the traceback."
    )
    return _report(fault, 1, sentence, words)


def _report(fault: BaseException, code: int, sentence: str, words: Sequence[str]) -> int:
    """Say what went wrong on stderr; a machine that asked for one JSON object gets one as well."""
    if "--verbose" in words:
        import traceback

        traceback.print_exception(fault, file=sys.stderr)
    print(f"edgevit: {sentence}", file=sys.stderr)
    if "--json" in words and words[0] not in _STREAMING:
        try:
            console.answer({"error": type(fault).__name__, "message": sentence, "exit_code": code})
        except OSError:  # stdout is what failed
            _forget_stdout()
    return code


def _fill_streams() -> None:
    """Let stdout and stderr lead nowhere where they were closed, before a file of ours gets their number."""
    for name, number in (("stdout", 1), ("stderr", 2)):
        if getattr(sys, name) is None:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            if nowhere != number:
                os.dup2(nowhere, number)
                os.close(nowhere)
            setattr(sys, name, os.fdopen(number, "w", encoding="utf-8", closefd=False))


def _forget_stdout() -> None:
    """Point stdout nowhere, so that the interpreter's last flush cannot fail as well."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
