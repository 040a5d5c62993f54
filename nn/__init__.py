"""Neurons, layers and models, composed from the engine."""
