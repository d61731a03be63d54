//! Links that instances have for themselves (`use_vmac`, `use_ipvlan`): what netlink cannot set of them.
//!
//! The VRRP process makes them, but has no file system; it says which link exists, by instance and by the number of
//! its name. The name is found in the configuration, so that no other link can be meant.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use kr_model::own_link::{Inet6Use, LinkName, LinkReport, LinkRole};
use kr_model::units::IfName;
use kr_model::vrrp::Instance;

/// Settings of IPv6, with a directory for each interface of the network namespace that the reader is in.
const SETTINGS: &str = "/proc/sys/net/ipv6/conf";

/// The name of a link that an instance of the configuration may have; `None` when it has no such link.
pub(crate) fn name(instance: &Instance, report: LinkReport) -> Option<IfName> {
    let candidate = usize::from(report.candidate);
    let (names, family) = match report.role {
        LinkRole::Instance => (instance.own_link.as_ref()?.name.clone(), instance.family),
        LinkRole::Addresses(family) => {
            let lines = instance.addresses.iter().chain(&instance.excluded);
            let mut own = lines.filter(|line| line.own_link);
            own.find(|line| line.address.family() == family)?;
            let prefix = instance.address_link_prefix.clone();
            (LinkName::Generated { prefix }, family)
        }
    };
    let names = names.candidates(instance.vrid, family);
    names.into_iter().nth(candidate)
}

/// Sets what the link does with IPv6; nothing is written when it does so already.
pub(crate) fn set_inet6(link: &IfName, inet6: Inet6Use) {
    let setting = match inet6 {
        Inet6Use::Kept => return,
        Inet6Use::Off => ("disable_ipv6", "1"),
        Inet6Use::AddressesOnly => ("accept_ra", "0"),
    };
    match set(Path::new(SETTINGS), link, setting) {
        Ok(()) => {}
        // The kernel has no IPv6, or the link has just gone.
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => log::warn!(
            "cannot set net.ipv6.conf.{link}.{} to {}: {error}; a router advertisement may give the link an address \
             that the other routers have too: set it, or make /proc/sys writable",
            setting.0,
            setting.1
        ),
    }
}

fn set(directory: &Path, link: &IfName, (setting, value): (&str, &str)) -> io::Result<()> {
    let path: PathBuf = [directory, Path::new(link.as_str()), Path::new(setting)]
        .iter()
        .collect();
    if fs::read_to_string(&path)?.trim() == value {
        return Ok(());
    }
    fs::write(&path, value)
}

#[cfg(test)]
mod tests {
    use kr_model::net::Family;

    use super::*;
    use crate::sample;

    #[test]
    fn a_report_names_only_links_of_its_instance() {
        let config = sample::read(
            "vrrp_instance A { interface eth0\n virtual_router_id 7\n use_vmac\n use_vmac_addr\n \
             virtual_ipaddress {\n 10.0.0.1/24\n }\n virtual_ipaddress_excluded {\n 2001:db8::1/64\n }\n }\n\
             vrrp_instance B { interface eth0\n virtual_router_id 8\n virtual_ipaddress {\n 10.0.0.2/24\n }\n }",
        );
        let names = |text: &str, role, candidate| {
            let mut entries = config.instances.values();
            let entry = entries.find(|entry| entry.instance.name == text).unwrap();
            let report = LinkReport {
                instance: entry.instance.id,
                role,
                candidate,
                inet6: Inet6Use::Off,
            };
            name(&entry.instance, report).map(String::from)
        };
        let (own, inet, inet6) = (
            LinkRole::Instance,
            LinkRole::Addresses(Family::Inet),
            LinkRole::Addresses(Family::Inet6),
        );
        assert_eq!(names("A", own, 0).as_deref(), Some("vrrp.7"));
        assert_eq!(names("A", own, 1).as_deref(), Some("vrrp1.7"));
        assert_eq!(names("A", own, 200), None);
        assert_eq!(names("A", inet6, 1).as_deref(), Some("vrrp6.7"));
        assert_eq!(names("A", inet, 0), None);
        assert_eq!(names("B", own, 0), None);
    }

    #[test]
    fn a_setting_is_written_once() {
        let directory = tempfile::tempdir().unwrap();
        let link = IfName::try_from("vrrp.7".to_owned()).unwrap();
        let file = directory.path().join("vrrp.7/disable_ipv6");
        assert!(set(directory.path(), &link, ("disable_ipv6", "1")).is_err());
        fs::create_dir(directory.path().join("vrrp.7")).unwrap();
        fs::write(&file, "0\n").unwrap();
        set(directory.path(), &link, ("disable_ipv6", "1")).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "1");
        let written = fs::metadata(&file).unwrap().modified().unwrap();
        set(directory.path(), &link, ("disable_ipv6", "1")).unwrap();
        assert_eq!(fs::metadata(&file).unwrap().modified().unwrap(), written);
    }
}
