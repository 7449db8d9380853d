"""Multipart uploads of a FaultyBucket.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html
"""

import re
from urllib.parse import parse_qs, unquote

from tests.support.faults import BUCKET, Answer, error, etag_of

_PART = re.compile(rb"<PartNumber>(\d+)</PartNumber>")


async def multipart(answer: Answer) -> None:
    """Answers the four requests of an upload in parts; the upload's id is a number."""
    request, bucket = answer.request, answer.bucket
    query = parse_qs(request.target.partition("?")[2], keep_blank_values=True)
    if "uploads" in query:
        upload = str(len(bucket.parts))
        bucket.parts[upload] = {}
        text = f"<InitiateMultipartUploadResult><UploadId>{upload}</UploadId></InitiateMultipartUploadResult>"
        return await answer.send(200, [("Content-Type", "application/xml")], text.encode())
    upload = query["uploadId"][0]
    if source := unquote(request.headers.get("x-amz-copy-source", "")).removeprefix(f"/{BUCKET}/"):
        bucket.parts[upload][int(query["partNumber"][0])] = part = bucket.objects[source]
        return await answer.send(200, [], f"<CopyPartResult><ETag>{etag_of(part)}</ETag></CopyPartResult>".encode())
    if request.method == "PUT":
        bucket.parts[upload][int(query["partNumber"][0])] = request.body
        return await answer.send(200, [("ETag", etag_of(request.body))])
    if request.method == "DELETE":
        bucket.parts[upload] = {}
        return await answer.send(204)
    if bucket.refuses(request):
        return await error(412, "PreconditionFailed")(answer)
    parts, bucket.parts[upload] = bucket.parts[upload], {}
    bucket.objects[request.key] = b"".join(parts[int(number)] for number in _PART.findall(request.body))
    etag = etag_of(bucket.objects[request.key])
    text = f"<CompleteMultipartUploadResult><ETag>{etag}</ETag></CompleteMultipartUploadResult>"
    return await answer.send(200, [("Content-Type", "application/xml")], text.encode())
