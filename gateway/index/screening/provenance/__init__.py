"""What attests the files of the other index (PEP 740), for the policy."""
