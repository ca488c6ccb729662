"""Show a run in a browser: the page of ``--serve``. The newest picture to each viewer, and orders back.

``hub.py`` takes answers from the pipeline and makes one JPEG of a frame for all who watch; ``message.py`` is the form
in which it travels; ``watching.py`` speaks with one browser; ``desk.py`` does what it asks; ``page.py`` joins them.
"""
