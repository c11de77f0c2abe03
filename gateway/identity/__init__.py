"""The room of people: staff accounts, partner organisations and contacts, credentials, sessions."""
