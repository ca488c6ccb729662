"""Train the weights that ship: one recipe a file, seeded, resumable, with a card that says how it was done."""
