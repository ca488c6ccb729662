"""SHOW it: overlays, and the loops behind the verbs. Torch-free; pictures are (height, width, 3) uint8 in RGB order."""
