"""Writing converted data sets: in parallel, atomically, and going on from where a run was interrupted."""
