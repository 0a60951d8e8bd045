"""Parts for nuclex that live in a package of their own."""
