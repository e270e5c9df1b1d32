"""Pictures of results on matplotlib axes; nothing is computed here."""
