"""Real training on a cluster of network namespaces: PyTorch DDP, real gradients on real TCP."""
