"""Layer 2: the object engine: files on a device, behind one Engine contract."""
