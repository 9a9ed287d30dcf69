"""Reading a trail: shared by all who replay one, auditor and witness alike."""
