"""Data sets and how to go through them in batches."""

from nn.data.dataset import Dataset, Subset, TensorDataset, collate, random_split
from nn.data.loader import DataLoader
from nn.data.sources import DATASETS, blobs, digits, load, moons, xor
from nn.data.text import CharTokenizer

__all__ = [
    "DATASETS",
    "CharTokenizer",
    "DataLoader",
    "Dataset",
    "Subset",
    "TensorDataset",
    "blobs",
    "collate",
    "digits",
    "load",
    "moons",
    "random_split",
    "xor",
]
