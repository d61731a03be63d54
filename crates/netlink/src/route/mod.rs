//! Links and addresses: read, follow, change.
