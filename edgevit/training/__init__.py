"""Train the weights that ship: one recipe a file, seeded, resumable, with a card that says how it was done."""

import os

# Must stand before torch is loaded. OpenMP's threads wait for each other by spinning, which on a machine that others
# use took four times the CPU time and twice the wall time (two threads on two busy cores, measured November 2026).
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
