"""The licences of the other index's files, for the policy."""
