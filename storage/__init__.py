"""Objects at rest: stores, the sealed layer over them, and the keyring.

Knows no web framework and no business database: values in, values out.
"""
