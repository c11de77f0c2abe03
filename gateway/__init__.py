"""SealGate's portal: rooms over a common ground, on top of the cellar packages."""
