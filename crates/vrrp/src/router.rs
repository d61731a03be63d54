//! All virtual routers of one process.

use std::collections::VecDeque;

use kr_model::Instant;

use crate::action::Action;
use crate::input::Input;

/// All instances of one process.
#[derive(Debug, Default)]
pub struct Router {
    actions: VecDeque<Action>,
}

impl Router {
    /// A router without instances.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes one input. Poll the actions and the timeout again afterwards.
    pub fn handle(&mut self, _input: Input<'_>, _now: Instant) {}

    /// The next thing to do; `None` when everything is done. Poll until `None` after each `handle`.
    #[must_use]
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When to give [`Input::Timer`]; `None` is never. It changes only in `handle`.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        None
    }
}
