"""Serve the command line: ``edgevit VERB ...``.

The room's rule: one verb a file (``HELP``, ``configure(parser)``, ``run(args) -> int``), imported when it is typed, so
that ``edgevit --help`` loads nothing heavy. Answers go to stdout, all else to stderr. The code stands in ``entry.py``:
here the verb ``list`` would hide the builtin as soon as it is imported.
"""

from .entry import VERBS as VERBS
from .entry import main as main
from .entry import parser_of as parser_of
from .entry import top_help as top_help
