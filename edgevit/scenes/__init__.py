"""Render built-in pictures with a known truth, so that demos, calibration and proofs need no download.

The rule of this room: numpy only, no torch, and the same pixels on every machine. Random numbers are taken from the
raw bits of PCG64 (``dice``), and pixels are made with operations that IEEE 754 rounds in one way only (``+ - * /``,
square root, floor, comparisons): no sine, no exponential, no matrix product, no floating-point sum over pixels.
"""
