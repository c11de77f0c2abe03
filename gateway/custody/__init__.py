"""Custody of what is stored: is everything there and whole, can it be carried elsewhere, and brought back.

Ground beside the release gate: values of the stores and the keyring are compared and moved here, never shown. Bytes are
carried as ciphertext, or reduced to a digest.
"""
