"""Where the bytes of objects are had, by the gateway and by its clients: the bucket, or a CloudFront distribution."""
