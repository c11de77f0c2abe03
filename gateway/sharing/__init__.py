"""The room of release: shares, approvals, copies, bundles, tickets."""
