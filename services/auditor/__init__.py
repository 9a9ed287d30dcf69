"""The auditor: checks the whole trail, one case, or a bundle of evidence, and trusts no hub."""
