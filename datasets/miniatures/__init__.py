"""Miniature copies of published data sets, byte-faithful in layout and filled with a planted, simulated signal."""
