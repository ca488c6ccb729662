"""Turn an input URI into frames. One kind a file; a source is an iterator of Frames that can be closed."""

from .freshest import freshest as freshest
from .opening import KINDS as KINDS
from .opening import VIDEO_SUFFIXES as VIDEO_SUFFIXES
from .opening import open_source as open_source
from .opening import open_sources as open_sources
from .protocol import OnError as OnError
from .protocol import Source as Source
from .protocol import let_go as let_go
