"""What principals may do: patterns of projects, whom rules speak of, and the decision. Pure."""
