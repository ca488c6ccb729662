"""Run a bundle on the device. Never torch: numpy and one engine are all it needs."""

from .frame import Frame as Frame
from .opening import load as load
from .results import Classification as Classification
from .results import Result as Result
from .results import Speed as Speed
from .session import Session as Session
from .tracker import TrackSession as TrackSession
from .tracks import Track as Track
from .tracks import Tracks as Tracks
