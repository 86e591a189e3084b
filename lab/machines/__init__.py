"""Machines of the lab: containers, their network, disks and metadata service, mirrored from what the API says."""
