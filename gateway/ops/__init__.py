"""What the person on call sees: health, metrics, logs."""
