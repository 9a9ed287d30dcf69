"""What goes into every bundle of evidence beside the evidence: a page to read, a program to run."""
