"""Layers that model families share: radial functions, edge frames, SO(2) maps, gates."""
