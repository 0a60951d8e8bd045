"""From files to packed batches: reading, curating, clustering, splitting, storing, sampling."""
