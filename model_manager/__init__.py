"""Every GPU machine holds, verified, the models of the workflows that it serves, before its first user arrives."""

__version__ = "0.1.0"
