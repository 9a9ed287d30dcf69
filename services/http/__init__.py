"""The HTTP faces: requests to use cases, errors to RFC 9457 problem documents."""
