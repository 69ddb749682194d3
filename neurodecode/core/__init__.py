"""Plain types that every part of the program speaks."""
