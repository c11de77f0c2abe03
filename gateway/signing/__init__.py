"""The room of agreements: templates, NDAs from draft to in force, personal undertakings."""
