"""Rehearsal: a checkpoint of the 7B's true shape with random weights goes the whole way, from files to scores."""
