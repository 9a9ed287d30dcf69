"""The demo: invented agencies and cases, and a second reading of the rules to check them by."""
