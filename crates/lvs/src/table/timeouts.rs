//! `lvs_timeouts`: the kernel's own values are read before the first change, told to the parent so that they
//! outlive this process, and written back at the stop or when a reload takes the keyword away.

use kr_model::lvs::{ConnectionTimeouts, TimeoutSettings};

/// What is to be done next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Read the kernel's values.
    Read,
    /// Tell the parent what the kernel had; `None` once that is in force again.
    Publish(Option<ConnectionTimeouts>),
    /// Write these.
    Set(ConnectionTimeouts),
}

/// What is wanted, what was before, and what is.
#[derive(Debug, Default)]
pub(super) struct Timeouts {
    settings: TimeoutSettings,
    original: Option<ConnectionTimeouts>,
    present: Option<ConnectionTimeouts>,
    /// The parent does not know the original values as they are here.
    unsaid: bool,
    /// The wanted values were written and the kernel was not read since.
    tried: bool,
}

impl Timeouts {
    /// Nothing wanted, nothing known.
    pub(super) const fn new() -> Self {
        Self {
            settings: TimeoutSettings::NONE,
            original: None,
            present: None,
            unsaid: false,
            tried: false,
        }
    }

    /// Takes new settings, and the original values when a predecessor of this process had told them.
    pub(super) fn configure(
        &mut self,
        settings: TimeoutSettings,
        original: Option<ConnectionTimeouts>,
    ) {
        self.settings = settings;
        self.original = self.original.or(original);
        self.forget();
    }

    /// The kernel may have other values than it had: reads them before anything else.
    pub(super) const fn forget(&mut self) {
        self.present = None;
    }

    /// Takes note of the kernel's values.
    pub(super) fn found(&mut self, values: ConnectionTimeouts) {
        self.present = Some(values);
        self.tried = false;
        if self.original.is_none() && self.settings != TimeoutSettings::NONE {
            self.original = Some(values);
            self.unsaid = true;
        }
    }

    /// Takes note that the kernel took these values.
    pub(super) const fn wrote(&mut self, values: ConnectionTimeouts) {
        self.present = Some(values);
    }

    /// The next step, when there is one.
    pub(super) fn step(&mut self) -> Option<Step> {
        if std::mem::take(&mut self.unsaid) {
            return Some(Step::Publish(self.original));
        }
        let is_set = self.settings != TimeoutSettings::NONE;
        if !is_set && self.original.is_none() {
            return None;
        }
        let Some((present, original)) = self.present.zip(self.original) else {
            return Some(Step::Read);
        };
        let wanted = self.settings.over(original);
        if present != wanted {
            let first = !std::mem::replace(&mut self.tried, true);
            return first.then_some(Step::Set(wanted));
        }
        if is_set {
            return None;
        }
        self.original = None;
        Some(Step::Publish(None))
    }

    /// What is to be written at the stop.
    pub(super) fn last(&self) -> Option<ConnectionTimeouts> {
        self.original.filter(|_| self.present != self.original)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KERNEL: ConnectionTimeouts = timeouts(900, 120, 300);
    const WANTED: ConnectionTimeouts = timeouts(1_000, 120, 200);
    const SETTINGS: TimeoutSettings = TimeoutSettings {
        tcp: Some(1_000),
        tcp_fin: None,
        udp: Some(200),
    };

    const fn timeouts(tcp: u32, tcp_fin: u32, udp: u32) -> ConnectionTimeouts {
        ConnectionTimeouts { tcp, tcp_fin, udp }
    }

    fn set(timeouts: &mut Timeouts, kernel: ConnectionTimeouts) {
        assert_eq!(timeouts.step(), Some(Step::Read));
        timeouts.found(kernel);
    }

    #[test]
    fn the_kernels_values_are_told_before_they_are_changed() {
        let mut timeouts = Timeouts::new();
        assert_eq!(timeouts.step(), None);
        timeouts.configure(SETTINGS, None);
        set(&mut timeouts, KERNEL);
        assert_eq!(timeouts.step(), Some(Step::Publish(Some(KERNEL))));
        assert_eq!(timeouts.step(), Some(Step::Set(WANTED)));
        timeouts.wrote(WANTED);
        assert_eq!(timeouts.step(), None);
        assert_eq!(timeouts.last(), Some(KERNEL));
    }

    #[test]
    fn a_successor_does_not_take_our_values_for_the_kernels() {
        let mut timeouts = Timeouts::new();
        timeouts.configure(SETTINGS, Some(KERNEL));
        set(&mut timeouts, WANTED);
        assert_eq!(timeouts.step(), None);
        assert_eq!(timeouts.last(), Some(KERNEL));
    }

    #[test]
    fn a_reload_without_the_keyword_writes_the_kernels_values_back() {
        let mut timeouts = Timeouts::new();
        timeouts.configure(SETTINGS, Some(KERNEL));
        set(&mut timeouts, WANTED);
        timeouts.configure(TimeoutSettings::NONE, None);
        set(&mut timeouts, WANTED);
        assert_eq!(timeouts.step(), Some(Step::Set(KERNEL)));
        timeouts.wrote(KERNEL);
        assert_eq!(timeouts.step(), Some(Step::Publish(None)));
        assert_eq!((timeouts.step(), timeouts.last()), (None, None));
    }

    #[test]
    fn what_somebody_else_wrote_is_put_back_and_a_refusal_is_not_repeated_at_once() {
        let mut timeouts = Timeouts::new();
        timeouts.configure(SETTINGS, Some(KERNEL));
        set(&mut timeouts, timeouts_of_others());
        assert_eq!(timeouts.step(), Some(Step::Set(WANTED)));
        assert_eq!(timeouts.step(), None);
        timeouts.forget();
        set(&mut timeouts, timeouts_of_others());
        assert_eq!(timeouts.step(), Some(Step::Set(WANTED)));
    }

    const fn timeouts_of_others() -> ConnectionTimeouts {
        timeouts(5, 5, 5)
    }
}
