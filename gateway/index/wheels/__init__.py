"""What the gateway knows of release files beyond their listing: hashes and core metadata."""
