"""Who a client is: authenticators, tokens, and the choke point that asks the rights."""
