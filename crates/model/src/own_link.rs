//! Links that an instance makes for itself: a VMAC (`use_vmac`, a macvlan with the virtual router's MAC of RFC
//! 9568 section 7.3) or an ipvlan (`use_ipvlan`), and further VMACs for its addresses (`use_vmac_addr`).
//!
//! The parent decides what is wanted; the VRRP process makes the links, and chooses their names among the
//! [candidates](LinkName::candidates), because only the kernel knows which of these others have.

use serde::{Deserialize, Serialize};

use crate::ids::InstanceId;
use crate::net::{Cidr, Family};
use crate::units::{IfName, Vrid};

/// Generated names with a number that are tried at most.
const NUMBERED_NAMES: u8 = 16;

/// An Ethernet address.
pub type Hardware = [u8; 6];

/// The link that an instance runs on, above its interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnLink {
    /// What it is.
    pub kind: OwnLinkKind,
    /// Its name.
    pub name: LinkName,
    /// `group`: its interface group; `None` is that of the interface below.
    pub group: Option<u32>,
    /// `vmac_xmit_base`: adverts leave and come by the interface below; only addresses are here.
    pub adverts_on_base: bool,
    /// `netlink_notify_msg`: the group of the interface below is written again after this link came or went, so
    /// that others hear of its changed promiscuity.
    pub announces_base: bool,
}

/// What a link of an instance is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum OwnLinkKind {
    /// A macvlan in private mode.
    Vmac {
        /// Its MAC.
        hardware: Hardware,
    },
    /// An ipvlan on layer 2.
    Ipvlan {
        /// Who reaches whom.
        mode: IpvlanMode,
        /// An address of the link, which adverts are sent from.
        address: Option<Cidr>,
    },
}

/// Who reaches whom among the ipvlans of one interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum IpvlanMode {
    /// All of them.
    Bridge,
    /// None.
    Private,
    /// By the switch.
    Vepa,
}

/// The name of a link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum LinkName {
    /// As the configuration says.
    Given(IfName),
    /// `PREFIX.VRID`, or another one of that kind when that is taken (`vmac_prefix`, `vmac_addr_prefix`).
    Generated {
        /// What it begins with.
        prefix: String,
    },
}

impl LinkName {
    /// The names that the link may get, best first.
    #[must_use]
    pub fn candidates(&self, vrid: Vrid, family: Family) -> Vec<IfName> {
        let prefix = match self {
            Self::Given(name) => return vec![name.clone()],
            Self::Generated { prefix } => prefix,
        };
        let plain = format!("{prefix}.{}", vrid.get());
        let of_family = match family {
            Family::Inet => None,
            Family::Inet6 => Some(format!("{prefix}6.{}", vrid.get())),
        };
        // 6 is the name of the family, also when the other one asks.
        let numbers = (1..=NUMBERED_NAMES).filter(|number| *number != 6);
        let numbered = numbers.map(|number| format!("{prefix}{number}.{}", vrid.get()));
        let all = [plain].into_iter().chain(of_family).chain(numbered);
        all.filter_map(|name| IfName::try_from(name).ok()).collect()
    }
}

/// The virtual router's MAC of RFC 9568 section 7.3.
#[must_use]
pub const fn virtual_hardware(vrid: Vrid, family: Family) -> Hardware {
    let family = match family {
        Family::Inet => 1,
        Family::Inet6 => 2,
    };
    [0, 0, 0x5e, 0, family, vrid.get()]
}

/// One of the links of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum LinkRole {
    /// That of `use_vmac` or `use_ipvlan`.
    Instance,
    /// One for addresses of a family that have a link of their own (`use_vmac_addr`).
    Addresses(Family),
}

/// A link that exists, as the VRRP process tells the parent of it: no name travels, only whose link it is and which
/// candidate its name is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkReport {
    /// Whose link it is; the first one's, when instances share it.
    pub instance: InstanceId,
    /// Which of its links.
    pub role: LinkRole,
    /// The number of its name among the [candidates](LinkName::candidates), from 0.
    pub candidate: u8,
    /// What the link does with IPv6.
    pub inet6: Inet6Use,
}

/// What a link does with IPv6. The kernel takes this by no netlink message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Inet6Use {
    /// Whatever the kernel does by itself.
    Kept,
    /// Nothing (`disable_ipv6`): nothing on the link is of IPv6.
    Off,
    /// It has addresses, but makes none from router advertisements (`accept_ra` 0): all routers of a virtual router
    /// would make the same one.
    AddressesOnly,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(prefix: &str, family: Family) -> Vec<String> {
        let name = LinkName::Generated {
            prefix: prefix.to_owned(),
        };
        let vrid = Vrid::try_from(51).unwrap();
        let names = name.candidates(vrid, family);
        names.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn generated_names_begin_with_the_plain_one_and_fit_the_kernel() {
        let inet = names("vrrp", Family::Inet);
        assert_eq!(inet[..3], ["vrrp.51", "vrrp1.51", "vrrp2.51"]);
        assert!(!inet.contains(&"vrrp6.51".to_owned()));
        let inet6 = names("vrrp", Family::Inet6);
        assert_eq!(inet6[..3], ["vrrp.51", "vrrp6.51", "vrrp1.51"]);
        assert_eq!(
            names("elevenchars", Family::Inet)[..2],
            ["elevenchars.51", "elevenchars1.51"]
        );
        assert_eq!(names("twelve-chars", Family::Inet), ["twelve-chars.51"]);
    }

    #[test]
    fn a_given_name_is_the_only_one() {
        let name = IfName::try_from("vip0".to_owned()).unwrap();
        let vrid = Vrid::try_from(1).unwrap();
        assert_eq!(
            LinkName::Given(name.clone()).candidates(vrid, Family::Inet),
            [name]
        );
    }

    #[test]
    fn the_mac_of_a_virtual_router_is_that_of_its_family() {
        let vrid = Vrid::try_from(255).unwrap();
        assert_eq!(
            virtual_hardware(vrid, Family::Inet),
            [0, 0, 0x5e, 0, 1, 255]
        );
        assert_eq!(
            virtual_hardware(vrid, Family::Inet6),
            [0, 0, 0x5e, 0, 2, 255]
        );
    }
}
