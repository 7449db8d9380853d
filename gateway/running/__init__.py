"""A running gateway: what answers its requests, and how another configuration takes its place."""
