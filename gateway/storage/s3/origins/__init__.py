"""Origins, from which the gateway and its clients read objects: the bucket, or a CloudFront distribution."""
