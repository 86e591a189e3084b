"""Speed as ratios, measured side by side on the lab; `make bench`."""
