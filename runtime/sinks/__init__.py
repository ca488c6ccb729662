"""Take frames with their results somewhere. One kind a file."""

from .fan import Fan as Fan
from .opening import KINDS as KINDS
from .opening import check_outputs as check_outputs
from .opening import open_sink as open_sink
from .opening import open_sinks as open_sinks
from .places import check_folder as check_folder
from .places import refuse_twice as refuse_twice
from .protocol import READER_GONE as READER_GONE
from .protocol import WINDOW_CLOSED as WINDOW_CLOSED
from .protocol import Sink as Sink
from .protocol import WindowClosed as WindowClosed
from .protocol import who_left as who_left
