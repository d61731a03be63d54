//! The initramfs: a static busybox, the modules in the order of their dependencies, and the script that
//! makes this machine's files the guest's root.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::cpio::Archive;
use super::kernel::unxz;

/// Without these the guest cannot reach its root.
const NEEDED: &[&str] = &[
    "virtio_pci",
    "virtio_console",
    "9p",
    "9pnet_virtio",
    "overlay",
    "ip_vs",
];

/// Algorithms that other modules ask for by name when they start, so that no dependency shows them.
const FIRST: &[&str] = &["crc32c_generic"];

/// What the tests use; a kernel that has one built in, or not at all, goes without.
const WANTED: &[&str] = &[
    "virtio_rng",
    "af_packet",
    "ip_vs_rr",
    "ip_vs_wrr",
    "ip_vs_lc",
    "ip_vs_wlc",
    "ip_vs_lblc",
    "ip_vs_lblcr",
    "ip_vs_dh",
    "ip_vs_sh",
    "ip_vs_sed",
    "ip_vs_nq",
    "ip_vs_fo",
    "ip_vs_ovf",
    "ip_vs_mh",
    "ip_vs_twos",
    "ip_vs_ftp",
    "ip_vs_pe_sip",
    "nf_conntrack",
    "nf_nat",
    "nf_tables",
    "nft_ct",
    "nft_nat",
    "nft_chain_nat",
    "nft_masq",
    "nft_fib",
    "nft_fib_ipv4",
    "nft_fib_ipv6",
    "xt_mark",
    "dummy",
    "veth",
    "macvlan",
    "ipvlan",
    "8021q",
    "bridge",
    "tun",
    "vrf",
    "ipip",
    "ip_gre",
    "sit",
    "ip6_tunnel",
    "fou",
];

/// What the guest starts first.
const INIT: &str = include_str!("init.sh");

/// Builds the archive from an unpacked kernel package.
pub(super) fn initramfs(package: &Path) -> io::Result<Vec<u8>> {
    let mut archive = Archive::default();
    for path in [
        "bin", "dev", "proc", "sys", "modules", "lower", "upper", "new",
    ] {
        archive.directory(path);
    }
    let busybox = fs::read("/bin/busybox").map_err(|error| {
        io::Error::new(
            error.kind(),
            format!("/bin/busybox (package busybox-static): {error}"),
        )
    })?;
    archive.file("bin/busybox", &busybox);
    archive.file("init", INIT.as_bytes());
    let mut order = String::new();
    for (name, module) in ordered(&index(&package.join("lib/modules"))?)? {
        let file = format!("{name}.ko");
        archive.file(&format!("modules/{file}"), &module);
        order.push_str(&file);
        order.push('\n');
    }
    archive.file("modules/order", order.as_bytes());
    Ok(archive.finish())
}

/// An archive that holds only the script to run; put behind the other.
pub(super) fn command(script: &str) -> Vec<u8> {
    let mut archive = Archive::default();
    archive.file("command", script.as_bytes());
    archive.finish()
}

/// Every module's file by name, with `-` written as `_`.
fn index(directory: &Path) -> io::Result<BTreeMap<String, PathBuf>> {
    let mut found = BTreeMap::new();
    let mut open = vec![directory.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory)? {
            let path = entry?.path();
            if path.is_dir() && !path.is_symlink() {
                open.push(path);
                continue;
            }
            let file = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            if let Some((name, "ko" | "ko.xz")) = file.split_once('.') {
                found.insert(name.replace('-', "_"), path);
            }
        }
    }
    Ok(found)
}

/// The wanted modules and what they depend on, each after its dependencies.
fn ordered(index: &BTreeMap<String, PathBuf>) -> io::Result<Vec<(String, Vec<u8>)>> {
    if let Some(missing) = NEEDED.iter().find(|name| !index.contains_key(**name)) {
        return Err(io::Error::other(format!(
            "the kernel package has no module {missing}"
        )));
    }
    let mut ordered: Vec<(String, Vec<u8>)> = Vec::new();
    for name in [FIRST, NEEDED, WANTED].into_iter().flatten() {
        place(name, index, &mut ordered)?;
    }
    Ok(ordered)
}

fn place(
    name: &str,
    index: &BTreeMap<String, PathBuf>,
    ordered: &mut Vec<(String, Vec<u8>)>,
) -> io::Result<()> {
    let Some(path) = index.get(name) else {
        return Ok(());
    };
    if ordered.iter().any(|(placed, _)| placed == name) {
        return Ok(());
    }
    let content = fs::read(path)?;
    let content = if path.extension().is_some_and(|extension| extension == "xz") {
        unxz(&content)?
    } else {
        content
    };
    for dependency in dependencies(&content) {
        place(&dependency, index, ordered)?;
    }
    ordered.push((name.to_owned(), content));
    Ok(())
}

/// The `depends=` line of a module's information section.
fn dependencies(module: &[u8]) -> Vec<String> {
    const KEY: &[u8] = b"\0depends=";
    let Some(at) = module.windows(KEY.len()).position(|window| window == KEY) else {
        return Vec::new();
    };
    let rest = module.get(at + KEY.len()..).unwrap_or_default();
    let value = rest.split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(value)
        .split(',')
        .filter(|name| !name.is_empty())
        .map(|name| name.replace('-', "_"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependencies_are_read_from_the_information_section() {
        let module = b"\x7fELF...license=GPL\0depends=nf-conntrack,libcrc32c\0retpoline=Y\0";
        assert_eq!(dependencies(module), ["nf_conntrack", "libcrc32c"]);
        assert!(dependencies(b"\0depends=\0").is_empty());
        assert!(dependencies(b"nothing").is_empty());
    }

    #[test]
    fn module_comes_after_what_it_depends_on_and_only_once() {
        let directory = tempfile::tempdir().unwrap();
        let mut index = BTreeMap::new();
        for (name, depends) in [("a", "b,c"), ("b", "c"), ("c", "")] {
            let path = directory.path().join(name);
            fs::write(&path, format!("\0depends={depends}\0")).unwrap();
            index.insert(name.to_owned(), path);
        }
        let mut ordered = Vec::new();
        place("a", &index, &mut ordered).unwrap();
        let names: Vec<&str> = ordered.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["c", "b", "a"]);
    }
}
