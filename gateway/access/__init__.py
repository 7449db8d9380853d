"""Who may do what: the rights of principals on projects and on paths."""
