"""The wizard line by line, for simple terminals and screen readers."""
