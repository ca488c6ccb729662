"""Write an annotated H.264 video, without sound, through PyAV; every frame keeps its time.

The file grows under another name and gets its own when it is closed, so it is whole wherever it is seen; what ends
early for a fault or a full disk is finished and kept as well. A side of odd length is repeated by one pixel, as 4:2:0
wants even ones; a frame of another size than the first is fitted into it.
"""

from __future__ import annotations

import contextlib
import threading
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from edgevit.errors import EdgevitError, EnvironmentFault, UsageError, missing, unwritable
from edgevit.kernels import resize

from ..frame import Frame, Pixels
from ..results import Result
from .drawn import picture_of
from .film import Film
from .places import file_in_its_folder, make_folder, refuse_the_input
from .protocol import PATIENCE_S, Sink

CODECS = ("libx264", "libopenh264", "h264_videotoolbox", "mpeg4")
TICKS = 60_000  # a second; whole for 24, 25, 30, 60 and the 1001 rates, and MPEG-4 takes no more than 65,535
_BT601, _LIMITED = 6, 1  # as FFmpeg numbers them: what the conversion below uses, said in the file for players
_ORDINARY_HW = (480, 640)
_OPTIONS = {"libx264": {"preset": "veryfast", "crf": "20"}, "mpeg4": {"qscale": "3"}}


class VideoFile:
    """Encode frame by frame; the first one sets the size. A thread may close it while another writes."""

    def __init__(self, path: Path, av: Any) -> None:
        self.place = str(path)
        self._path = path
        self._av = av
        self._film: Film | None = None
        self._container: Any = None
        self._stream: Any = None
        self._first_ns = 0
        self._last_tick = -1
        self._gap = TICKS // 30  # a film of one picture shows it that long
        self._lane: int | None = None
        self._closed = False
        self._lock = threading.RLock()  # one who was interrupted in here may close

    def write_from(self, frame: Frame, result: Result, *, lane: int, born_ns: int) -> None:
        """Take a frame of a run; those of another source than the first are refused."""
        if self._lane not in (None, lane):
            raise UsageError(
                f"{self._path} is one video, in which the frames of several sources would take turns. Type: "
                f"open_sinks('{self._path}', [source.name for source in sources])"
            )
        self._lane = lane
        self.write(frame, result)

    def write(self, frame: Frame, result: Result) -> None:
        if self._film is None and not self._closed:
            refuse_the_input(self._path, frame)
        picture = picture_of(result)
        with self._lock:
            if self._closed:
                raise UsageError(f"The video {self._path} is finished, or has failed; it takes no more frames.")
            try:
                if self._film is None:
                    self._begin(picture, frame)
                self._encode(picture, frame)
            except (self._av.error.FFmpegError, OSError) as exc:
                raise self._failed(exc) from exc
            except EdgevitError:
                self._let_go()
                raise

    def close(self) -> None:
        self._closed = True  # also where nothing was written: a late frame must not begin a film that nobody ends
        if not self._lock.acquire(timeout=PATIENCE_S):
            return
        try:
            self._finish()
        except Exception:
            self._let_go()  # whatever it was, nothing is left open, nor half done for a second call
            raise
        except BaseException:
            self._finish()  # a signal's exception came in between; what is left to do is done first
            raise
        finally:
            self._lock.release()

    def _begin(self, picture: Pixels, frame: Frame) -> None:
        height, width = (side + side % 2 for side in picture.shape[:2])
        make_folder(self._path.parent)
        self._film = film = Film(self._path)
        self._container = self._av.open(film.file, "w", format=film.format, options=film.options)
        self._stream = add_stream(self._av, self._container, (height, width))
        self._first_ns = frame.captured_ns

    def _encode(self, picture: Pixels, frame: Frame) -> None:
        canvas = fitted(picture, (self._stream.height, self._stream.width))
        tick = round(Fraction((frame.captured_ns - self._first_ns) * TICKS, 1_000_000_000))
        tick = max(tick, self._last_tick + 1)  # no two frames at one time, whatever the clock did
        self._gap = tick - self._last_tick if self._last_tick >= 0 else self._gap
        self._last_tick = tick
        image = self._av.VideoFrame.from_ndarray(canvas, format="rgb24").reformat(
            format="yuv420p", dst_colorspace=_BT601, dst_color_range=_LIMITED
        )
        image.pts, image.time_base = self._last_tick, Fraction(1, TICKS)
        self._mux(self._stream.encode(image))

    def _mux(self, packets: list[Any]) -> None:
        if self._film is not None and self._film.boxes:
            # Where a piece begins FFmpeg takes the film to end with that packet, whatever is shown after it came before
            # it; what was behind that end would not be played. So each packet lasts to the end of the film so far.
            for packet in packets:
                packet.duration = self._last_tick + self._gap - packet.pts
        self._container.mux(packets)

    def _finish(self) -> None:
        """Do what is left to do; each step knows whether it was done."""
        if self._film is None:
            return
        try:
            if self._stream is not None:
                with contextlib.suppress(self._av.error.EOFError):  # it was told before a signal came
                    self._mux(self._stream.encode(None))
                self._stream = None
            if self._container is not None:
                self._film.finish_begins()
                self._container.close()
                self._container = None
            self._film.finish()
            self._film = None
        except (self._av.error.FFmpegError, OSError) as exc:
            raise self._failed(exc) from exc

    def _failed(self, exc: OSError) -> EdgevitError:
        kept = self._let_go()
        where = "" if kept is None else "What was written plays up to there."
        if kept is not None and kept != self._path:
            where = f"What was written is in {kept}."
        return unwritable(f"The video {self._path}", exc, kept=where)

    def _let_go(self) -> Path | None:
        """Keep what can be played; return where it is."""
        film, self._film, self._closed = self._film, None, True
        container, self._container, self._stream = self._container, None, None
        if film is None:
            return None
        film.file.close()  # so that nothing more reaches the disk, which might take a part of it
        if container is not None:
            with contextlib.suppress(self._av.error.FFmpegError, OSError, ValueError):
                container.close()
        return film.rescue()


def add_stream(av: Any, container: Any, size_hw: tuple[int, int]) -> Any:
    """Add a stream of the best codec that this PyAV has and that opens on this machine."""
    for codec in CODECS:
        if _opens(av, codec, size_hw):
            stream = container.add_stream(codec, rate=Fraction(30), options=dict(_OPTIONS.get(codec, {})))
            _set_up(stream.codec_context, size_hw, codec)
            return stream
    if any(_opens(av, codec, _ORDINARY_HW) for codec in CODECS):
        height, width = size_hw
        raise UsageError(
            f"No encoder here takes pictures of {width} x {height}, so they cannot be a video. Name a folder for them, "
            "such as shots/"
        )
    raise EnvironmentFault(
        f"This PyAV can encode no video: it has none of {', '.join(CODECS)}. Type: pip install --force-reinstall av"
    )


def fitted(picture: Pixels, size_hw: tuple[int, int]) -> Pixels:
    """Return the picture at exactly that size: its edge repeated by a pixel, or scaled and centred between bars."""
    down, right = size_hw[0] - picture.shape[0], size_hw[1] - picture.shape[1]
    if down == right == 0:
        return np.ascontiguousarray(picture)
    if 0 <= down <= 1 and 0 <= right <= 1:
        return np.pad(picture, ((0, down), (0, right), (0, 0)), mode="edge")
    scale = min(size_hw[0] / picture.shape[0], size_hw[1] / picture.shape[1])
    height, width = (max(1, min(full, round(side * scale))) for side, full in zip(picture.shape, size_hw, strict=False))
    canvas = np.zeros((*size_hw, 3), np.uint8)
    top, left = (size_hw[0] - height) // 2, (size_hw[1] - width) // 2
    canvas[top : top + height, left : left + width] = resize(picture, (height, width))
    return canvas


def sink_of(place: str, kind: str, names: tuple[str, ...]) -> Sink:
    """Open a video file; the encoder starts with the first frame."""
    try:
        import av
    except ImportError as exc:
        raise missing("av", "Writing a video", "camera") from exc
    return VideoFile(file_in_its_folder(place), av)


def _opens(av: Any, codec: str, size_hw: tuple[int, int]) -> bool:
    try:
        context = av.CodecContext.create(codec, "w")
        _set_up(context, size_hw, codec)
        context.open()
    except (av.error.FFmpegError, ValueError):
        return False
    return True


def _set_up(context: Any, size_hw: tuple[int, int], codec: str) -> None:
    context.height, context.width = size_hw
    context.pix_fmt = "yuv420p"
    context.time_base = Fraction(1, TICKS)
    context.colorspace, context.color_range = _BT601, _LIMITED
    context.options = dict(_OPTIONS.get(codec, {}))
