//! Frames as a host sees them, and VRRP packets made by hand.

use std::fmt;
use std::io::{self, IoSliceMut};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg, setsockopt, sockopt};
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_gettime};
use socket2::{Domain, Protocol, Socket, Type};

use crate::netns::Host;

/// `ETH_P_ALL` as the kernel wants it in `socket(2)`: in network order.
const EVERY_PROTOCOL: i32 = 0x0300;

/// VRRP's IP protocol number.
const VRRP: u8 = 112;

/// 224.0.0.18, where adverts go.
pub const VRRP_GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 18);

/// A frame and when it was seen.
#[derive(Debug, Clone)]
pub struct Frame {
    /// When the kernel saw it, however late it was read.
    pub at: Instant,
    /// From the Ethernet header on.
    pub bytes: Vec<u8>,
}

/// How long the kernel keeps frames before they are fetched. It wakes nobody up for a frame, which would cost whoever
/// sends it more than the frame does.
const REST: Duration = Duration::from_millis(5);

/// Collects the frames of all interfaces of a host, sent and received, until dropped.
#[derive(Debug)]
pub struct Capture {
    collection: Arc<Mutex<Collection>>,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// What tells which frames are wanted.
type Wanted = Box<dyn Fn(&[u8]) -> bool + Send>;

/// A packet socket, and those of its frames that are wanted.
struct Collection {
    socket: Socket,
    wanted: Wanted,
    buffer: Vec<u8>,
    frames: Vec<Frame>,
}

impl Capture {
    /// Starts to collect frames for which `wanted` is true.
    ///
    /// # Errors
    /// When the packet socket is refused.
    pub fn start(host: &Host, wanted: impl Fn(&[u8]) -> bool + Send + 'static) -> io::Result<Self> {
        let socket = host.enter(|| {
            Socket::new(
                Domain::PACKET,
                Type::RAW.nonblocking(),
                Some(Protocol::from(EVERY_PROTOCOL)),
            )
        })??;
        // A second of ten thousand frames.
        setsockopt(&socket, sockopt::RcvBufForce, &(16 << 20))?;
        setsockopt(&socket, sockopt::ReceiveTimestampns, &true)?;
        let collection = Arc::new(Mutex::new(Collection {
            socket,
            wanted: Box::new(wanted),
            buffer: vec![0; 65_536],
            frames: Vec::new(),
        }));
        let ended = Arc::new(AtomicBool::new(false));
        let thread = thread::spawn({
            let (collection, ended) = (Arc::clone(&collection), Arc::clone(&ended));
            move || {
                while !ended.load(Ordering::Relaxed) {
                    lock(&collection).fetch();
                    thread::sleep(REST);
                }
            }
        });
        Ok(Self {
            collection,
            ended,
            thread: Some(thread),
        })
    }

    /// What came until now, oldest first.
    #[must_use]
    pub fn frames(&self) -> Vec<Frame> {
        let mut collection = lock(&self.collection);
        collection.fetch();
        collection.frames.clone()
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

fn lock(collection: &Mutex<Collection>) -> MutexGuard<'_, Collection> {
    collection.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Collection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} frames", self.frames.len())
    }
}

impl Collection {
    /// Takes what the kernel kept.
    fn fetch(&mut self) {
        let clocks = Clocks::read();
        while let Some((length, stamp)) = receive(&self.socket, &mut self.buffer) {
            let bytes = self.buffer.get(..length);
            if let (Some(bytes), Some(at)) = (
                bytes.filter(|bytes| (self.wanted)(bytes)),
                clocks.instant(stamp),
            ) {
                let bytes = bytes.to_vec();
                self.frames.push(Frame { at, bytes });
            }
        }
    }
}

/// Both clocks at one moment: the kernel stamps frames with the time of day.
struct Clocks {
    now: Instant,
    time_of_day: Duration,
}

impl Clocks {
    fn read() -> Self {
        let read = || {
            let now = Instant::now();
            let time_of_day = clock_gettime(ClockId::CLOCK_REALTIME);
            let time_of_day = time_of_day.map_or(Duration::ZERO, Duration::from);
            (now.elapsed(), Self { now, time_of_day })
        };
        let (mut shortest, mut clocks) = read();
        for _ in 0..4 {
            // One that nothing came between.
            let (took, again) = read();
            if took < shortest {
                (shortest, clocks) = (took, again);
            }
        }
        clocks
    }

    /// The moment of a stamp, which may be a little later than this one.
    fn instant(&self, stamp: Duration) -> Option<Instant> {
        match self.time_of_day.checked_sub(stamp) {
            Some(age) => self.now.checked_sub(age),
            None => self.now.checked_add(stamp.saturating_sub(self.time_of_day)),
        }
    }
}

/// The length of the next frame, and when the kernel saw it; `None` when there is none now.
fn receive(socket: &Socket, buffer: &mut [u8]) -> Option<(usize, Duration)> {
    let mut space = nix::cmsg_space!(TimeSpec);
    let mut slices = [IoSliceMut::new(buffer)];
    let flags = MsgFlags::empty();
    let received = recvmsg::<()>(socket.as_raw_fd(), &mut slices, Some(&mut space), flags).ok()?;
    let stamp = received.cmsgs().ok()?.find_map(|message| {
        if let ControlMessageOwned::ScmTimestampns(stamp) = message {
            Some(Duration::from(stamp))
        } else {
            None
        }
    });
    Some((received.bytes, stamp?))
}

/// Whether a frame is an IPv4 VRRP packet.
#[must_use]
pub fn is_vrrp(frame: &[u8]) -> bool {
    frame.get(12..14) == Some(&[0x08, 0x00]) && frame.get(23) == Some(&VRRP)
}

/// The IPv4 source address of a frame.
#[must_use]
pub fn source(frame: &[u8]) -> Option<Ipv4Addr> {
    let bytes: [u8; 4] = frame.get(26..30)?.try_into().ok()?;
    Some(Ipv4Addr::from(bytes))
}

/// Whether a frame is an ARP announcement of `address`: sender and target are both it.
#[must_use]
pub fn announces(frame: &[u8], address: Ipv4Addr) -> bool {
    frame.get(12..14) == Some(&[0x08, 0x06])
        && frame.get(28..32) == Some(&address.octets())
        && frame.get(38..42) == Some(&address.octets())
}

/// Sends `payload` as the body of IPv4 packets of protocol 112 to the VRRP group.
#[derive(Debug)]
pub struct VrrpSender {
    socket: Socket,
}

impl VrrpSender {
    /// Opens a raw socket in `host` that sends from its address `from` with this TTL.
    ///
    /// # Errors
    /// When the host has no such address or raw sockets are refused.
    pub fn open(host: &Host, from: Ipv4Addr, ttl: u32) -> io::Result<Self> {
        let socket = host.enter(|| {
            Socket::new(
                Domain::IPV4,
                Type::RAW,
                Some(Protocol::from(i32::from(VRRP))),
            )
        })??;
        socket.bind(&SocketAddr::V4(SocketAddrV4::new(from, 0)).into())?;
        socket.set_multicast_if_v4(&from)?;
        socket.set_multicast_ttl_v4(ttl)?;
        socket.set_multicast_loop_v4(false)?;
        Ok(Self { socket })
    }

    /// Sends one packet.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn send(&self, payload: &[u8]) -> io::Result<()> {
        let to = SocketAddr::V4(SocketAddrV4::new(VRRP_GROUP, 0));
        self.socket.send_to(payload, &to.into()).map(drop)
    }
}
