//! Debian packages that the tests and the demonstration use.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use kr_testkit::netns::run;

/// Every package with what it is for.
pub(crate) const PACKAGES: &[(&str, &str)] = &[
    ("iproute2", "makes the hosts of the namespace tests"),
    (
        "keepalived",
        "the distribution's keepalived as peer and as measure",
    ),
    ("frr", "vrrpd and bfdd of FRR as peers"),
    (
        "ipvsadm",
        "shows the kernel's IPVS table independently of us",
    ),
    (
        "nftables",
        "shows the kernel's packet filter tables independently of us",
    ),
    ("iputils-ping", "tries whether a virtual address answers"),
    (
        "qemu-system-x86",
        "runs the lab: a kernel with IPVS in emulation",
    ),
    ("nginx", "web server that HTTP_GET and SSL_GET are tried on"),
    (
        "stunnel4",
        "TLS in front of a web server, for SSL_GET with chosen versions",
    ),
    ("postfix", "mail server that SMTP_CHECK is tried on"),
    ("unbound", "name server that DNS_CHECK is tried on"),
    ("openssl", "makes the certificates of those servers"),
    ("busybox-static", "first program of the lab"),
    ("systemd", "systemd-analyze, which judges the unit files"),
    ("time", "tells what a configuration test needs"),
    ("apparmor", "loads the profiles in the lab"),
    (
        "selinux-policy-dev",
        "what the SELinux module is built with",
    ),
    ("checkpolicy", "compiles the SELinux module"),
    ("semodule-utils", "packs the SELinux module"),
    (
        "policycoreutils",
        "builds and loads the lab's SELinux policy",
    ),
    ("make", "drives the build of the SELinux module"),
    ("perl-base", "the intruder of those tests"),
    (
        "strace",
        "shows the system calls of a check, and of each process",
    ),
    ("procps", "ps, which shows the kernel's threads in the lab"),
    ("curl", "asks for a page where the demonstration is kept"),
    ("xz-utils", "unpacks the lab's kernel"),
    ("gcc", "builds the cryptography of rustls"),
    ("g++", "builds the driver of the fuzz targets"),
];

/// Starting a service is refused while this file says so.
const POLICY: &str = "/usr/sbin/policy-rc.d";

/// Installs the packages that are missing, without starting any service.
///
/// # Errors
/// When some are missing and this is not root on a Debian-like system, or the installation fails.
pub(crate) fn install_missing() -> io::Result<()> {
    let missing: Vec<&str> = PACKAGES
        .iter()
        .map(|(name, _)| *name)
        .filter(|name| !is_installed(name))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let list = missing.join(" ");
    if !fs::exists("/usr/bin/apt-get")? {
        return Err(io::Error::other(format!(
            "this is no Debian system: install what stands for {list}"
        )));
    }
    if !nix::unistd::geteuid().is_root() {
        return Err(io::Error::other(format!(
            "not root: `apt-get install {list}` first"
        )));
    }
    println!("installing {list}");
    let policy = NoServices::declare()?;
    let apt = |arguments: &[&str]| {
        run(Command::new("apt-get")
            .args(["-q", "-y", "--no-install-recommends"])
            .args(arguments)
            .env("DEBIAN_FRONTEND", "noninteractive"))
    };
    apt(&["update"])?;
    apt(&[&["install"], missing.as_slice()].concat())?;
    drop(policy);
    Ok(())
}

fn is_installed(package: &str) -> bool {
    run(Command::new("dpkg-query").args(["-W", "-f", "${Status}", package]))
        .is_ok_and(|status| status == "install ok installed")
}

/// Keeps the packages' services from starting, as long as it exists.
#[derive(Debug)]
struct NoServices {
    written: bool,
}

impl NoServices {
    fn declare() -> io::Result<Self> {
        let written = !fs::exists(POLICY)?;
        if written {
            fs::write(POLICY, "#!/bin/sh\nexit 101\n")?;
            fs::set_permissions(POLICY, fs::Permissions::from_mode(0o755))?;
        }
        Ok(Self { written })
    }
}

impl Drop for NoServices {
    fn drop(&mut self) {
        if self.written {
            fs::remove_file(POLICY).ok();
        }
    }
}
