"""The vectorised tier: layers of Tensors, one small file per family."""
