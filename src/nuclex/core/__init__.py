"""The foundation: configuration, registry, artefacts on disk, provenance, errors, progress. No biology, no tensors."""
