"""Run the command line as ``python -m edgevit``."""

import sys

from .cli import main

sys.argv[0] = "edgevit"  # what a bundle's provenance records is the command as one types it
sys.exit(main())
