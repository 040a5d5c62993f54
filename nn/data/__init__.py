"""Data sets and how to go through them in batches."""

from nn.data.dataset import Dataset
from nn.data.loader import DataLoader
from nn.data.sources import DATASETS, blobs, digits, load, moons, xor

__all__ = ["DATASETS", "DataLoader", "Dataset", "blobs", "digits", "load", "moons", "xor"]
