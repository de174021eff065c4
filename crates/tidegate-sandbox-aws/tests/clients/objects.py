"""S3 through boto3: buckets, objects, versions, multipart, listings, notifications."""
import sys, io, json, time, boto3, urllib.request
from botocore.config import Config
from botocore.exceptions import ClientError

endpoint = sys.argv[1]
config = Config(retries={"max_attempts": 1}, region_name="eu-west-1", s3={"addressing_style": "path"})
common = dict(endpoint_url=endpoint, aws_access_key_id="a", aws_secret_access_key="b", config=config)


def refused(code, call, **arguments):
    try:
        call(**arguments)
    except ClientError as error:
        assert error.response["Error"]["Code"] == code, error.response
        return error.response["Error"].get("Message", "")
    raise AssertionError(f"{code} was expected")


c = boto3.client("s3", **common)
refused("InvalidBucketName", c.create_bucket, Bucket="UPPER", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
refused("IllegalLocationConstraintException", c.create_bucket, Bucket="bucket")
c.create_bucket(Bucket="bucket", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
refused("BucketAlreadyOwnedByYou", c.create_bucket, Bucket="bucket", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
refused("404", c.head_bucket, Bucket="none")
assert c.head_bucket(Bucket="bucket")["BucketRegion"] == "eu-west-1"
assert c.get_bucket_location(Bucket="bucket")["LocationConstraint"] == "eu-west-1"
assert [b["Name"] for b in c.list_buckets()["Buckets"]] == ["bucket"]
refused("NoSuchTagSet", c.get_bucket_tagging, Bucket="bucket")
c.put_bucket_tagging(Bucket="bucket", Tagging={"TagSet": [{"Key": "a", "Value": "1 & 2"}]})
assert c.get_bucket_tagging(Bucket="bucket")["TagSet"] == [{"Key": "a", "Value": "1 & 2"}]
assert c.get_bucket_encryption(Bucket="bucket")["ServerSideEncryptionConfiguration"]["Rules"][0]["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"
assert c.get_public_access_block(Bucket="bucket")["PublicAccessBlockConfiguration"]["BlockPublicAcls"] is True
c.delete_public_access_block(Bucket="bucket")
refused("NoSuchPublicAccessBlockConfiguration", c.get_public_access_block, Bucket="bucket")
assert c.get_bucket_ownership_controls(Bucket="bucket")["OwnershipControls"]["Rules"] == [{"ObjectOwnership": "BucketOwnerEnforced"}]
refused("NoSuchBucketPolicy", c.get_bucket_policy, Bucket="bucket")
policy = json.dumps({"Version": "2012-10-17", "Statement": []})
c.put_bucket_policy(Bucket="bucket", Policy=policy)
assert c.get_bucket_policy(Bucket="bucket")["Policy"] == policy
refused("MalformedPolicy", c.put_bucket_policy, Bucket="bucket", Policy="{")
refused("NoSuchLifecycleConfiguration", c.get_bucket_lifecycle_configuration, Bucket="bucket")
rules = [{"ID": "x", "Status": "Enabled", "Filter": {"Prefix": "tmp/"}, "Expiration": {"Days": 3}}]
c.put_bucket_lifecycle_configuration(Bucket="bucket", LifecycleConfiguration={"Rules": rules})
assert c.get_bucket_lifecycle_configuration(Bucket="bucket")["Rules"] == rules
c.put_bucket_cors(Bucket="bucket", CORSConfiguration={"CORSRules": [{"AllowedMethods": ["GET"], "AllowedOrigins": ["*"]}]})
assert c.get_bucket_cors(Bucket="bucket")["CORSRules"] == [{"AllowedMethods": ["GET"], "AllowedOrigins": ["*"]}]

put = c.put_object(Bucket="bucket", Key="a/ b+c&d.txt", Body=b"hello world", ContentType="text/plain", Metadata={"who": "me"}, CacheControl="no-cache", Tagging="k=v&l=m")
assert put["ETag"] == '"5eb63bbbe01eeed093cb22bb8f5acdc3"' and put["ServerSideEncryption"] == "AES256" and put["ChecksumCRC32"], put
got = c.get_object(Bucket="bucket", Key="a/ b+c&d.txt")
assert got["Body"].read() == b"hello world" and got["ContentType"] == "text/plain" and got["Metadata"] == {"who": "me"} and got["CacheControl"] == "no-cache" and got["TagCount"] == 2 and "ContentEncoding" not in got, got
assert c.get_object(Bucket="bucket", Key="a/ b+c&d.txt", Range="bytes=6-")["Body"].read() == b"world"
assert c.get_object(Bucket="bucket", Key="a/ b+c&d.txt", Range="bytes=-3")["ContentRange"] == "bytes 8-10/11"
refused("InvalidRange", c.get_object, Bucket="bucket", Key="a/ b+c&d.txt", Range="bytes=50-60")
refused("304", c.get_object, Bucket="bucket", Key="a/ b+c&d.txt", IfNoneMatch=put["ETag"])
refused("PreconditionFailed", c.get_object, Bucket="bucket", Key="a/ b+c&d.txt", IfMatch='"x"')
head = c.head_object(Bucket="bucket", Key="a/ b+c&d.txt")
assert head["ContentLength"] == 11 and head["ETag"] == put["ETag"]
refused("NoSuchKey", c.get_object, Bucket="bucket", Key="none")
refused("404", c.head_object, Bucket="bucket", Key="none")
refused("NoSuchBucket", c.get_object, Bucket="nope", Key="none")
# Streamed bodies come in chunks with trailing checksums.
c.upload_fileobj(io.BytesIO(b"z" * 100_000), "bucket", "stream.bin")
assert c.head_object(Bucket="bucket", Key="stream.bin")["ContentLength"] == 100_000
for algorithm in ("CRC32", "SHA256", "SHA1"):
    sent = c.put_object(Bucket="bucket", Key="sum", Body=b"x", ChecksumAlgorithm=algorithm)
    read = c.get_object(Bucket="bucket", Key="sum", ChecksumMode="ENABLED")
    read["Body"].read()
    assert read["Checksum" + algorithm] == sent["Checksum" + algorithm]
refused("BadDigest", c.put_object, Bucket="bucket", Key="sum", Body=b"x", ChecksumCRC32="AAAAAA==")
c.put_object(Bucket="bucket", Key="lock", Body=b"1", IfNoneMatch="*")
refused("PreconditionFailed", c.put_object, Bucket="bucket", Key="lock", Body=b"2", IfNoneMatch="*")
etag = c.head_object(Bucket="bucket", Key="lock")["ETag"]
c.put_object(Bucket="bucket", Key="lock", Body=b"3", IfMatch=etag)
refused("PreconditionFailed", c.put_object, Bucket="bucket", Key="lock", Body=b"4", IfMatch=etag)
refused("NoSuchKey", c.put_object, Bucket="bucket", Key="nolock", Body=b"4", IfMatch=etag)
c.copy_object(Bucket="bucket", Key="copy", CopySource={"Bucket": "bucket", "Key": "a/ b+c&d.txt"})
assert c.get_object(Bucket="bucket", Key="copy")["Metadata"] == {"who": "me"}
assert c.get_object_tagging(Bucket="bucket", Key="copy")["TagSet"] == [{"Key": "k", "Value": "v"}, {"Key": "l", "Value": "m"}]
c.copy_object(Bucket="bucket", Key="copy", CopySource="bucket/copy", MetadataDirective="REPLACE", Metadata={"new": "1"})
assert c.head_object(Bucket="bucket", Key="copy")["Metadata"] == {"new": "1"}
refused("InvalidRequest", c.copy_object, Bucket="bucket", Key="copy", CopySource="bucket/copy")
url = c.generate_presigned_url("get_object", Params={"Bucket": "bucket", "Key": "copy"})
assert urllib.request.urlopen(url).read() == b"hello world"

for key in ("l/1", "l/2", "l/x/1", "l/x/2", "l/y/1"):
    c.put_object(Bucket="bucket", Key=key, Body=b"")
listed = c.list_objects_v2(Bucket="bucket", Prefix="l/", Delimiter="/")
assert [o["Key"] for o in listed["Contents"]] == ["l/1", "l/2"] and [p["Prefix"] for p in listed["CommonPrefixes"]] == ["l/x/", "l/y/"] and listed["KeyCount"] == 4
pages = list(c.get_paginator("list_objects_v2").paginate(Bucket="bucket", Prefix="l/", PaginationConfig={"PageSize": 2}))
assert [o["Key"] for p in pages for o in p["Contents"]] == ["l/1", "l/2", "l/x/1", "l/x/2", "l/y/1"] and len(pages) == 3
pages = list(c.get_paginator("list_objects").paginate(Bucket="bucket", Prefix="l/", PaginationConfig={"PageSize": 2}))
assert [o["Key"] for p in pages for o in p["Contents"]] == ["l/1", "l/2", "l/x/1", "l/x/2", "l/y/1"]
assert any(o["Key"] == "a/ b+c&d.txt" for o in c.list_objects_v2(Bucket="bucket")["Contents"])

upload = c.create_multipart_upload(Bucket="bucket", Key="big", Metadata={"m": "1"})["UploadId"]
parts = []
for number, size in ((1, 5 << 20), (2, 10)):
    part = c.upload_part(Bucket="bucket", Key="big", UploadId=upload, PartNumber=number, Body=b"p" * size)
    parts.append({"PartNumber": number, "ETag": part["ETag"]})
assert len(c.list_parts(Bucket="bucket", Key="big", UploadId=upload)["Parts"]) == 2
assert c.list_multipart_uploads(Bucket="bucket")["Uploads"][0]["Key"] == "big"
refused("InvalidPart", c.complete_multipart_upload, Bucket="bucket", Key="big", UploadId=upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": '"x"'}]})
done = c.complete_multipart_upload(Bucket="bucket", Key="big", UploadId=upload, MultipartUpload={"Parts": parts})
assert done["ETag"].endswith('-2"')
assert c.head_object(Bucket="bucket", Key="big")["ContentLength"] == (5 << 20) + 10
refused("NoSuchUpload", c.upload_part, Bucket="bucket", Key="big", UploadId=upload, PartNumber=1, Body=b"")
from boto3.s3.transfer import TransferConfig
c.upload_fileobj(io.BytesIO(b"q" * (12 << 20)), "bucket", "transfer", Config=TransferConfig(multipart_threshold=5 << 20, multipart_chunksize=5 << 20))
out = io.BytesIO()
c.download_fileobj("bucket", "transfer", out)
assert out.getvalue() == b"q" * (12 << 20)

c.put_bucket_versioning(Bucket="bucket", VersioningConfiguration={"Status": "Enabled"})
one = c.put_object(Bucket="bucket", Key="v", Body=b"1")["VersionId"]
two = c.put_object(Bucket="bucket", Key="v", Body=b"2")["VersionId"]
assert c.get_object(Bucket="bucket", Key="v", VersionId=one)["Body"].read() == b"1"
gone = c.delete_object(Bucket="bucket", Key="v")
assert gone["DeleteMarker"] is True
refused("NoSuchKey", c.get_object, Bucket="bucket", Key="v")
versions = c.list_object_versions(Bucket="bucket", Prefix="v")
assert [v["VersionId"] for v in versions["Versions"]] == [two, one] and len(versions["DeleteMarkers"]) == 1
c.delete_object(Bucket="bucket", Key="v", VersionId=gone["VersionId"])
assert c.get_object(Bucket="bucket", Key="v")["Body"].read() == b"2"
refused("BucketNotEmpty", c.delete_bucket, Bucket="bucket")

q = boto3.client("sqs", **common)
inbox = q.create_queue(QueueName="s3inbox")["QueueUrl"]
arn = q.get_queue_attributes(QueueUrl=inbox, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
c.create_bucket(Bucket="noisy", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
notify = {"QueueConfigurations": [{"Id": "n", "QueueArn": arn, "Events": ["s3:ObjectCreated:*"], "Filter": {"Key": {"FilterRules": [{"Name": "prefix", "Value": "in/"}]}}}]}
refused("InvalidArgument", c.put_bucket_notification_configuration, Bucket="noisy", NotificationConfiguration={"QueueConfigurations": [{"QueueArn": arn + "x", "Events": ["s3:ObjectCreated:*"]}]})
c.put_bucket_notification_configuration(Bucket="noisy", NotificationConfiguration=notify)
back = c.get_bucket_notification_configuration(Bucket="noisy")["QueueConfigurations"][0]
assert back["QueueArn"] == arn and back["Filter"]["Key"]["FilterRules"][0]["Value"] == "in/", back
c.put_object(Bucket="noisy", Key="in/a b.csv", Body=b"12")
c.put_object(Bucket="noisy", Key="out/x", Body=b"12")
messages = q.receive_message(QueueUrl=inbox, MaxNumberOfMessages=10, WaitTimeSeconds=1)["Messages"]
bodies = [json.loads(m["Body"]) for m in messages]
assert len(bodies) == 2 and bodies[0]["Event"] == "s3:TestEvent", bodies
record = bodies[1]["Records"][0]
assert record["eventName"] == "ObjectCreated:Put" and record["s3"]["object"]["key"] == "in/a+b.csv" and record["s3"]["object"]["size"] == 2 and record["s3"]["bucket"]["name"] == "noisy" and record["s3"]["configurationId"] == "n"
deleted = c.delete_objects(Bucket="noisy", Delete={"Objects": [{"Key": "in/a b.csv"}, {"Key": "out/x"}, {"Key": "none"}]})
assert len(deleted["Deleted"]) == 3
c.delete_bucket(Bucket="noisy")
refused("404", c.head_bucket, Bucket="noisy")
print("s3 ok")
