"""The jobs of oversight."""
