"""Prove trackers: two graphs, run one behind the other on pairs of pictures, and whole clips followed by both.

Parity graph by graph hides what adds up between them; so every figure here is of the composed tracker.
"""
