"""The notary: one order of entries, a tree over them, and checkpoints that witnesses cosign."""
