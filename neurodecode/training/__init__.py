"""Lightning tasks, the data module and the objectives."""
