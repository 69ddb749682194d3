"""The simulator of brain recordings with known ground truth."""
