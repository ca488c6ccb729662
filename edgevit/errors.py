"""Name everything that can go wrong, in one tree.

Every message says what was wrong, what was expected, and what to type. Foreign errors are translated at
the door where they enter (``raise ... from exc``); no engine's or converter's exception reaches an app.

* EdgevitError                      exit 1
  x RefusedError                      an export or a check fell short of its gate
  x UsageError                      exit 2
    + UnknownNameError                a model, device, format, task or label nobody knows
    + UnsupportedError                a combination that does not exist, with the ones that do
    + InputError                      a picture, video, folder or array that cannot be used
    + SpecError                       a contract that contradicts itself
    + WeightsError                    weights that are missing, damaged, or of another model
    + BundleError                     a bundle that cannot be trusted or read
      - ChecksumError                   a file that is not the one that was sealed
      - SchemaError                     a manifest from another time or of another shape
      - UnsafePathError                 a name that leads out of the bundle
  x EnvironmentFault                exit 3
    + MissingDependencyError          a package that is not installed, with its pip line
    + DownloadError                   a network that is not there, or not as promised
  x ConversionError                 exit 1  a converter that gave up
  x EngineError                     exit 1  an inference engine that failed
    + BadOutputError                    NaN, infinite or wrong-shaped outputs
"""

from __future__ import annotations

import errno


class EdgevitError(Exception):
    """Any fault that edgevit itself reports."""

    exit_code = 1


class RefusedError(EdgevitError):
    """An export or a check fell short of its gate; nothing was sealed."""


class UsageError(EdgevitError):
    """The call cannot be carried out as it was asked."""

    exit_code = 2


class UnknownNameError(UsageError):
    """A name that no registry, table or folder knows."""


class UnsupportedError(UsageError):
    """A combination of options that does not exist."""


class InputError(UsageError):
    """A picture, video, folder or array that cannot be used as input."""


class SpecError(UsageError):
    """A contract (spec, labels, sizes) that contradicts itself."""


class WeightsError(UsageError):
    """Weights that are missing, damaged, or made for another model."""


class BundleError(UsageError):
    """A bundle that cannot be read or trusted."""


class ChecksumError(BundleError):
    """A file of the bundle is not the one that was sealed."""


class SchemaError(BundleError):
    """The manifest is of an unknown schema or misses what the schema promises."""


class UnsafePathError(BundleError):
    """A file name would lead out of the bundle or hide another one."""


class EnvironmentFault(EdgevitError):
    """Something that the call needs is missing on this machine."""

    exit_code = 3


class MissingDependencyError(EnvironmentFault):
    """A package that is not installed; the message holds the pip line."""


class DownloadError(EnvironmentFault):
    """A download that failed, timed out, or brought something else."""


class ConversionError(EdgevitError):
    """A converter could not express the model in the format."""


class EngineError(EdgevitError):
    """An inference engine refused to load or run a model file."""


class BadOutputError(EngineError):
    """An engine answered with NaN, infinity or a wrong shape; that is never a result."""


def missing(package: str, purpose: str, extra: str) -> MissingDependencyError:
    """Build the one sentence that tells how to get a package; without an extra that brings it, by its own name."""
    typed = f"'edgevit[{extra}]'" if extra else package
    return MissingDependencyError(
        f"{purpose} needs the package '{package}', which is not installed. Type: pip install {typed}"
    )


_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def unwritable(place: str, exc: OSError, *, kept: str = "") -> EdgevitError:
    """Build the one sentence for an output that takes no more: a full disk is the machine's fault, all else the call's.

    ``kept`` says what of it is there all the same.
    """
    more = f" {kept}" if kept else ""
    if exc.errno in _NO_ROOM:
        return EnvironmentFault(
            f"{place} cannot be written any further: {exc.strerror}.{more} Make room, or write to another disk."
        )
    return UsageError(f"{place} cannot be written: {exc.strerror or exc}.{more} Name another place.")


_PLACES = ("Exception from ", "Check '")
"""How OpenVINO's errors begin: lines that say where in its C++ files it happened, not what."""


def reason(exc: BaseException) -> str:
    """Return the line of a foreign error that says what happened; a line ending in a colon takes the next one along."""
    lines = [line.strip() for line in str(exc).splitlines() if line.strip()]
    told = [line for line in lines if not line.startswith(_PLACES)] or lines
    if not told:
        return type(exc).__name__
    return " ".join(told[:2]) if told[0].endswith(":") else told[0]
