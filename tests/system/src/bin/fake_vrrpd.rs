//! A VRRP process that misbehaves, for tests of the parent. The file `behaviour` beside it says how.

use std::os::fd::AsFd;
use std::process::ExitCode;
use std::{env, fs};

use kr_child::{Role, Started};
use kr_ipc::Channel;
use kr_ipc::edge::Sibling;
use kr_ipc::edge::parentd_vrrpd::{FromVrrpd, ToVrrpd};
use kr_model::vrrp::{Cause, State};
use kr_model::{Generation, InstanceId};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, send};
use std::os::fd::AsRawFd;

type Edge = Channel<FromVrrpd, ToVrrpd>;

fn main() -> ExitCode {
    let Ok(Started { mut channel, .. }) = kr_child::start::<FromVrrpd, ToVrrpd>(Role::Vrrpd) else {
        return ExitCode::from(4);
    };
    let behaviour = env::current_exe()
        .ok()
        .and_then(|path| fs::read_to_string(path.with_file_name("behaviour")).ok())
        .unwrap_or_default();
    match behaviour.trim() {
        "exit 2" => return ExitCode::from(2),
        "exit 3" => return ExitCode::from(3),
        "garbage" => {
            become_ready(&mut channel);
            let _ = send(channel.as_raw_fd(), &[0xff; 40], MsgFlags::empty());
        }
        "unknown instance" => {
            become_ready(&mut channel);
            let _ = channel.send(&FromVrrpd::Transition {
                instance: InstanceId(4711),
                to: State::Master,
                priority: 1,
                cause: Cause::Start,
            });
        }
        "accuse" => {
            become_ready(&mut channel);
            for _ in 0..10 {
                let _ = channel.send(&FromVrrpd::Misbehaved(Sibling::Checkerd));
            }
            answer_pings(&mut channel);
        }
        "flood" => {
            become_ready(&mut channel);
            let frame = kr_ipc::codec::encode(&FromVrrpd::Ready(Generation(1)));
            let frame = frame.unwrap_or_default();
            loop {
                let _ = send(channel.as_raw_fd(), &frame, MsgFlags::empty());
            }
        }
        "descriptor" => {
            become_ready(&mut channel);
            if let Ok((reader, _writer)) = nix::unistd::pipe() {
                let _ = channel.send_with(&FromVrrpd::Ready(Generation(1)), reader);
            }
        }
        "close" => {
            become_ready(&mut channel);
            drop(channel);
            loop {
                std::thread::park();
            }
        }
        "silent" => become_ready(&mut channel),
        "spins" => {
            become_ready(&mut channel);
            loop {
                std::hint::spin_loop();
            }
        }
        "stray answer" => {
            become_ready(&mut channel);
            let _ = channel.send(&FromVrrpd::Pong { nonce: 4711 });
        }
        "does not leave" => {
            become_ready(&mut channel);
            answer_pings(&mut channel);
        }
        other => match other.strip_prefix("send ") {
            Some(numbers) => {
                become_ready(&mut channel);
                let bytes = numbers.split(' ').filter_map(|number| number.parse().ok());
                let bytes: Vec<u8> = bytes.collect();
                let _ = send(channel.as_raw_fd(), &bytes, MsgFlags::empty());
            }
            None => return ExitCode::FAILURE,
        },
    }
    loop {
        std::thread::park();
    }
}

/// Reads the configuration and says that it is in force.
fn become_ready(channel: &mut Edge) {
    loop {
        let mut fds = [PollFd::new(channel.as_fd(), PollFlags::POLLIN)];
        let _ = poll(&mut fds, PollTimeout::NONE);
        while let Ok(Some(message)) = channel.recv() {
            if let ToVrrpd::Commit(generation) = message {
                let _ = channel.send(&FromVrrpd::Ready(generation));
                return;
            }
        }
    }
}

/// Hears everything and does nothing but prove that it lives.
fn answer_pings(channel: &mut Edge) {
    loop {
        let mut fds = [PollFd::new(channel.as_fd(), PollFlags::POLLIN)];
        let _ = poll(&mut fds, PollTimeout::NONE);
        while let Ok(Some(message)) = channel.recv() {
            if let ToVrrpd::Ping { nonce } = message {
                let _ = channel.send(&FromVrrpd::Pong { nonce });
            }
        }
    }
}
