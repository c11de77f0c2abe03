"""Oversight keeps no rows of its own yet: it reads the log and changes parameters."""
