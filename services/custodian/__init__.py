"""The custodian: holds data keys, follows consent, releases and takes back."""
