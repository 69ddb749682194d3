"""Frozen image, text and speech models that make the targets."""
