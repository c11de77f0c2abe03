"""The room of oversight: the auditor's page, the parameters that two people change."""
