"""Data sets and how to go through them in batches."""

from nn.data.augment import (
    AUGMENTATIONS,
    Augmentation,
    Compose,
    CutMix,
    Cutout,
    HorizontalFlip,
    Mixup,
    Noise,
    RandAugment,
    Rotate,
    Shift,
    VerticalFlip,
    augmentation,
)
from nn.data.dataset import Dataset, Subset, TensorDataset, collate, random_split
from nn.data.idx import read_idx
from nn.data.images import digits, fashion_mnist, mnist
from nn.data.loader import DataLoader
from nn.data.plane import blobs, circles, moons, spirals, xor
from nn.data.sources import DATASETS, load
from nn.data.tables import breast_cancer, iris, regression, wine
from nn.data.text import CharTokenizer, TextDataset, tiny_text

__all__ = [
    "AUGMENTATIONS",
    "DATASETS",
    "Augmentation",
    "CharTokenizer",
    "Compose",
    "CutMix",
    "Cutout",
    "DataLoader",
    "Dataset",
    "HorizontalFlip",
    "Mixup",
    "Noise",
    "RandAugment",
    "Rotate",
    "Shift",
    "Subset",
    "TensorDataset",
    "TextDataset",
    "VerticalFlip",
    "augmentation",
    "blobs",
    "breast_cancer",
    "circles",
    "collate",
    "digits",
    "fashion_mnist",
    "iris",
    "load",
    "mnist",
    "moons",
    "random_split",
    "read_idx",
    "regression",
    "spirals",
    "tiny_text",
    "wine",
    "xor",
]
