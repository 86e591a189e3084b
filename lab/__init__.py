"""The lab: a local stand-in for EC2 with the AWS wire protocol and real Linux machines."""
