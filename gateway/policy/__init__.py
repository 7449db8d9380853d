"""What of the outside world may come in, and when."""
