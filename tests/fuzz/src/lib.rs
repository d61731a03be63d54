//! What must hold for bytes of a stranger, one function per place where such bytes come in. The programs of
//! `fuzz_targets/` give these functions to libFuzzer; `tests/replay.rs` runs them without it.

mod bfd_packets;
mod body_pattern;
mod config_text;
mod datagram_answer;
mod forged_packet;
mod http;
mod ipc;
mod ipvs_netlink;
mod mail;
mod metrics_request;
mod pieces;
mod resolver;
mod route_netlink;
pub mod samples;
mod talk;
mod tls;
mod vrrp_packet;

pub use bfd_packets::bfd_packets;
pub use body_pattern::body_pattern;
pub use config_text::config_text;
pub use datagram_answer::datagram_answer;
pub use forged_packet::forged_packet;
pub use http::http_response;
pub use ipc::checkerd::ipc_parentd_checkerd;
pub use ipc::instances::{ipc_vrrpd_checkerd, ipc_vrrpd_ipvsd};
pub use ipc::ipvsd::ipc_parentd_ipvsd;
pub use ipc::verdicts::ipc_checkerd_ipvsd;
pub use ipc::vrrpd::ipc_parentd_vrrpd;
pub use ipvs_netlink::ipvs_netlink;
pub use mail::{mail_delivery, smtp_check};
pub use metrics_request::metrics_request;
pub use resolver::resolver_answer;
pub use route_netlink::route_netlink;
pub use tls::tls_server;
pub use vrrp_packet::vrrp_packet;

/// Hands the name of every target to a macro. The name is that of the function, of the program in
/// `fuzz_targets/`, and of the folder in `corpus/`.
#[macro_export]
macro_rules! for_every_target {
    ($then:ident) => {
        $then! {
            bfd_packets
            body_pattern
            config_text
            datagram_answer
            forged_packet
            http_response
            ipc_checkerd_ipvsd
            ipc_parentd_checkerd
            ipc_parentd_ipvsd
            ipc_parentd_vrrpd
            ipc_vrrpd_checkerd
            ipc_vrrpd_ipvsd
            ipvs_netlink
            mail_delivery
            metrics_request
            resolver_answer
            route_netlink
            smtp_check
            tls_server
            vrrp_packet
        }
    };
}
