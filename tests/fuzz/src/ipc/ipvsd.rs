//! Parent and IPVS process.

#[rustfmt::skip]
#[path = "../../../../ipvsd/src/intake.rs"]
mod intake;

use kr_ipc::edge::parentd_ipvsd::{FromIpvsd, ToIpvsd};
use kr_lvs::{Input, Table};
use kr_model::Instant;
use kr_model::check::SocketRule;

use crate::ipc::message;
use crate::ipc::table::{Permitted, give};
use crate::pieces::frames;
use intake::{Intake, Taken};

/// A configuration that passes comes to rest, and leads to operations on what it names only.
pub fn ipc_parentd_ipvsd(data: &[u8]) {
    let mut intake = Intake::default();
    let mut table = Table::new();
    let mut permitted = Permitted::default();
    let mut now = Instant::from_micros(0);
    for frame in frames(data) {
        let _: Option<FromIpvsd> = message(frame);
        let Some(message) = message::<ToIpvsd>(frame) else {
            continue;
        };
        match intake.take(message, &table) {
            Ok(
                Taken::Part
                | Taken::Meet(_)
                | Taken::LogFile
                | Taken::Table
                | Taken::Ping { .. },
            ) => {}
            Ok(Taken::Configuration {
                table: configuration,
                sockets,
                ..
            }) => {
                let generation = configuration.generation;
                assert!(sockets.iter().all(SocketRule::is_sound));
                permitted.add(&configuration);
                give(&mut table, &permitted, Input::Configure(configuration), now);
                assert_eq!(table.generation(), generation);
                if let Some(at) = table.poll_timeout() {
                    now = now.max(at);
                    give(&mut table, &permitted, Input::Timer, now);
                    assert!(table.poll_timeout().is_none_or(|next| next > now));
                }
            }
            Ok(Taken::Stop) => return give(&mut table, &permitted, Input::Shutdown, now),
            // The daemon ends here.
            Err(fault) => return assert!(!fault.to_string().is_empty()),
        }
    }
}
