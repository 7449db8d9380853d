"""The beacon: an object in the storage by which gateways tell each other what has been published."""
