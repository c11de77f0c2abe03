"""The log: entries, Merkle tree, checkpoints, receipts. Nothing heavy loads here, so that the offline verifier stays light."""
