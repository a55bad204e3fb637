"""TorchRec adapter: the same modules over sharded tables, under torchrun."""
