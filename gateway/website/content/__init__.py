"""What clients get of the objects of a site: in which encoding, of which type, for how long."""
