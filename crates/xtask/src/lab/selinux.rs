//! A policy for guests that have SELinux on: the reference policy as Debian builds it, with the module of
//! `systemd/selinux` and what the tests need besides.
//!
//! ```text
//! apt-get download selinux-policy-default ─ dpkg -x ─ semodule: a store in target/lab, without the host's
//! make with selinux-policy-dev's Makefile: the modules of this clone ─ semodule: into that store
//! ```

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use kr_testkit::netns::run;

use super::package;

/// Where the policy's modules come from.
const PACKAGE: &str = "selinux-policy-default";

/// The base of the policy; the domains without confinement, for what the operator starts; and those modules that the
/// base's table of accounts asks for. The other three hundred would only take time.
const MODULES: [&str; 5] = ["base", "unconfined", "xserver", "xdg", "getty"];

/// The modules of this clone: name, and directory and stem of its sources.
const OWN: [(&str, &str); 2] = [
    ("keepalived_rs", "systemd/selinux/keepalived_rs"),
    ("keepalived_rs_lab", "tests/vm/tests/guarded/lab"),
];

/// Builds it in `lab` and returns the directory whose `etc/selinux` a guest takes.
///
/// # Errors
/// When a program is missing, the package cannot be fetched, or a module of this clone is wrong.
pub(super) fn policy(lab: &Path) -> io::Result<PathBuf> {
    let store = base(lab)?;
    let work = tempfile::tempdir_in(lab)?;
    for (name, source) in OWN {
        let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        for extension in ["te", "fc", "if"] {
            let from = top.join(format!("{source}.{extension}"));
            let text = match fs::read(&from) {
                // Only the first is required of a module.
                Err(error) if error.kind() == io::ErrorKind::NotFound && extension != "te" => {
                    Vec::new()
                }
                read => read?,
            };
            fs::write(work.path().join(format!("{name}.{extension}")), text)?;
        }
    }
    let packages = OWN.map(|(name, _)| format!("{name}.pp"));
    run(Command::new("make")
        .args(["-f", "/usr/share/selinux/devel/Makefile", "NAME=default"])
        .args(&packages)
        .current_dir(work.path()))?;
    let packages = packages.map(|name| work.path().join(name));
    install(&store, "400", &packages)?;
    Ok(store)
}

/// The store with the reference policy, made when there is none yet.
fn base(lab: &Path) -> io::Result<PathBuf> {
    let store = lab.join("selinux");
    if store.is_dir() {
        return Ok(store);
    }
    let package = package::unpacked(lab, PACKAGE)?;
    let partial = tempfile::tempdir_in(lab)?;
    let etc = partial.path().join("etc");
    fs::create_dir_all(partial.path().join("var/lib/selinux"))?;
    fs::create_dir_all(&etc)?;
    run(Command::new("cp")
        .arg("-r")
        .arg(package.join("etc/selinux"))
        .arg(&etc))?;
    fs::write(etc.join("selinux/semanage.conf"), "module-store = direct\n")?;
    fs::write(
        etc.join("selinux/config"),
        "SELINUX=permissive\nSELINUXTYPE=default\n",
    )?;
    let file = |name| package.join(format!("usr/share/selinux/default/{name}.pp.bz2"));
    install(partial.path(), "100", &MODULES.map(file))?;
    fs::rename(partial.keep(), &store)?;
    Ok(store)
}

fn install(store: &Path, priority: &str, modules: &[PathBuf]) -> io::Result<()> {
    let mut semodule = Command::new("semodule");
    semodule.arg("--path").arg(store);
    semodule.args(["--store", "default", "--noreload", "--priority", priority]);
    for module in modules {
        semodule.arg("--install").arg(module);
    }
    run(&mut semodule).map(drop)
}
