"""Linear models in both directions and the rules that score candidates."""
