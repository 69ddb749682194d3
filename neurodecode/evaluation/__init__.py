"""Scores, their statistics, controls, figures and the report."""
