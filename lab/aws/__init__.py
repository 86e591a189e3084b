"""The AWS side of the lab: moto's server, extended so that it behaves and refuses like AWS."""
