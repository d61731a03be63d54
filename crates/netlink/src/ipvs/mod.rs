//! The IPVS generic netlink family: read the table, change it in batches.
