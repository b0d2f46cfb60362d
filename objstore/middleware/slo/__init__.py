"""Static large objects: a manifest of segments that reads like one object. Features A4.1 to A4.5, formats 8.2."""
