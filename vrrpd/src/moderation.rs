//! Fewer wake-ups when very many adverts arrive, as network cards do it with interrupts.
//!
//! A wake-up for each packet costs more than the packet. Beyond a rate that few sites ever see, the loop rests for a
//! moment after it has served what there was, and then finds several packets. No timer waits for that.

use std::time::Duration;

use kr_model::Instant;

/// Length of the window in which packets are counted.
const WINDOW: Duration = Duration::from_millis(20);

/// Packets in a window from which on the loop rests: 1,500 a second.
const MANY: u32 = 30;

/// Length of a rest: far below the shortest master-down time (30 ms with `advert_int 0.01`).
const REST: Duration = Duration::from_millis(2);

/// Shortest rest that is worth a system call.
const SHORTEST: Duration = Duration::from_micros(200);

/// Counts packets and says when to rest.
#[derive(Debug, Default)]
pub(crate) struct Moderation {
    since: Instant,
    heard: u32,
    busy: bool,
}

impl Moderation {
    /// A packet was taken from a socket.
    pub(crate) fn heard(&mut self, now: Instant) {
        self.turn_window(now);
        self.heard = self.heard.saturating_add(1);
        self.busy |= self.heard >= MANY;
    }

    /// How long to rest now, given when the next timer is due.
    pub(crate) fn rest(&mut self, now: Instant, deadline: Option<Instant>) -> Option<Duration> {
        self.turn_window(now);
        let left = deadline.map_or(REST, |at| at.since(now));
        let time = REST.min(left);
        (self.busy && time >= SHORTEST).then_some(time)
    }

    fn turn_window(&mut self, now: Instant) {
        if now.since(self.since) >= WINDOW {
            self.busy = self.heard >= MANY && now.since(self.since) < WINDOW * 2;
            self.since = now;
            self.heard = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_micros(millis * 1000)
    }

    /// Counts a packet every so many microseconds for a while.
    fn hear(every: u64, from: u64, until: u64) -> Moderation {
        let mut moderation = Moderation::default();
        for micros in (from * 1000..until * 1000).step_by(usize::try_from(every).unwrap()) {
            moderation.heard(Instant::from_micros(micros));
        }
        moderation
    }

    #[test]
    fn few_packets_never_rest() {
        // 1,000 a second.
        let mut moderation = hear(1000, 1000, 2000);
        assert_eq!(moderation.rest(at(2000), None), None);
    }

    #[test]
    fn many_packets_rest_but_no_timer_waits() {
        let mut moderation = hear(100, 1000, 1100);
        assert_eq!(moderation.rest(at(1100), None), Some(REST));
        let soon = Instant::from_micros(1_100_700);
        let until_then = Some(Duration::from_micros(700));
        assert_eq!(moderation.rest(at(1100), Some(soon)), until_then);
        assert_eq!(moderation.rest(at(1100), Some(at(1100))), None);
    }

    #[test]
    fn rests_end_with_the_flood() {
        let mut moderation = hear(100, 1000, 1100);
        assert!(moderation.rest(at(1119), None).is_some());
        assert_eq!(moderation.rest(at(1150), None), None);
    }
}
