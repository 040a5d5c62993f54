"""Pictures of computation graphs, with their gradients."""
