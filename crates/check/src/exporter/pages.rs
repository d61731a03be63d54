//! The texts of `/metrics` and `/status`, real server by real server.
//!
//! An answer that is under way remembers the last real server that it wrote, so a reload in between does
//! no harm: what is written next is what there is then.

use std::fmt::Write as _;
use std::time::Duration;

use kr_model::CheckerId;
use serde::Serialize;

use crate::Checks;
use crate::checks::State;

use super::request::Format;
use super::{ServerName, Shown, lateness};

/// A page that is being written.
#[derive(Debug)]
pub(super) struct Page {
    kind: Kind,
    /// The real server that was written last.
    last: Option<ServerName>,
}

#[derive(Debug)]
enum Kind {
    /// The metrics that are still to be written; the first may be begun.
    Metrics {
        format: Format,
        rest: &'static [Metric],
        begun: bool,
    },
    /// The metrics of the process itself, behind those of the checks.
    Process {
        format: Format,
    },
    Status {
        begun: bool,
    },
    Written,
}

/// A metric of the page, with a sample per real server or per check.
#[derive(Debug)]
struct Metric {
    name: &'static str,
    kind: &'static str,
    unit: &'static str,
    help: &'static str,
    value: Value,
}

#[derive(Debug, Clone, Copy)]
enum Value {
    ServerUp,
    CheckUp,
    Attempts,
    Failures,
    LastDuration,
    Shared,
}

/// Every metric of the checks; the manual page checkerd(8) lists them too.
const METRICS: &[Metric] = &[
    Metric {
        name: "keepalived_real_server_up",
        kind: "gauge",
        unit: "",
        help: "1 when every check of the real server is up.",
        value: Value::ServerUp,
    },
    Metric {
        name: "keepalived_check_up",
        kind: "gauge",
        unit: "",
        help: "1 when the check is up, or taken as up before its first result.",
        value: Value::CheckUp,
    },
    Metric {
        name: "keepalived_check_attempts",
        kind: "counter",
        unit: "",
        help: "Attempts started.",
        value: Value::Attempts,
    },
    Metric {
        name: "keepalived_check_failures",
        kind: "counter",
        unit: "",
        help: "Attempts failed.",
        value: Value::Failures,
    },
    Metric {
        name: "keepalived_check_last_duration_seconds",
        kind: "gauge",
        unit: "seconds",
        help: "How long the last attempt took that ended with a result.",
        value: Value::LastDuration,
    },
    Metric {
        name: "keepalived_check_shared",
        kind: "gauge",
        unit: "",
        help: "1 when the check takes the results of an identical one (checker_share).",
        value: Value::Shared,
    },
];

impl Page {
    pub(super) const fn metrics(format: Format) -> Self {
        Self {
            kind: Kind::Metrics {
                format,
                rest: METRICS,
                begun: false,
            },
            last: None,
        }
    }

    pub(super) const fn status() -> Self {
        Self {
            kind: Kind::Status { begun: false },
            last: None,
        }
    }

    /// Adds what belongs to one real server, or what stands before or after all. False: the page is
    /// complete.
    pub(super) fn write_next(&mut self, shown: Shown<'_>, out: &mut String) -> bool {
        let server = match &mut self.kind {
            Kind::Metrics { begun, .. } | Kind::Status { begun } if !*begun => {
                *begun = true;
                self.begin(out);
                return true;
            }
            Kind::Metrics { .. } | Kind::Status { .. } => shown.directory.after(self.last.as_ref()),
            Kind::Process { format } => {
                lateness::metrics(*format, shown.times, out);
                if *format == Format::OpenMetrics {
                    out.push_str("# EOF\n");
                }
                self.kind = Kind::Written;
                return true;
            }
            Kind::Written => return false,
        };
        let Some((name, ids)) = server else {
            self.end(shown, out);
            return true;
        };
        match &self.kind {
            Kind::Metrics { rest, .. } => {
                if let Some(metric) = rest.first() {
                    metric.samples(name, ids, shown.checks, out);
                }
            }
            Kind::Status { .. } => {
                if self.last.is_some() {
                    out.push(',');
                }
                out.push_str(&json(name, ids, shown.checks));
            }
            Kind::Process { .. } | Kind::Written => {}
        }
        self.last = Some(name.clone());
        true
    }

    /// What stands before the first real server.
    fn begin(&self, out: &mut String) {
        match &self.kind {
            Kind::Metrics { format, rest, .. } => {
                if let Some(metric) = rest.first() {
                    metric.head(*format, out);
                }
            }
            Kind::Status { .. } => out.push_str("{\"real_servers\":["),
            Kind::Process { .. } | Kind::Written => {}
        }
    }

    /// What stands after the last real server; the next metric begins at the first again.
    fn end(&mut self, shown: Shown<'_>, out: &mut String) {
        match &mut self.kind {
            Kind::Metrics {
                format,
                rest,
                begun,
            } => {
                *rest = rest.get(1..).unwrap_or_default();
                *begun = false;
                self.last = None;
                if rest.is_empty() {
                    self.kind = Kind::Process { format: *format };
                }
            }
            Kind::Status { .. } => {
                out.push_str("],\"loop\":");
                out.push_str(&lateness::json(shown.times));
                out.push_str("}\n");
                self.kind = Kind::Written;
            }
            Kind::Process { .. } | Kind::Written => {}
        }
    }
}

impl Metric {
    /// The name of a sample, and in the older format of the metric.
    fn sample_name(&self) -> String {
        let total = if self.kind == "counter" { "_total" } else { "" };
        format!("{}{total}", self.name)
    }

    /// The lines that say what the samples mean.
    fn head(&self, format: Format, out: &mut String) {
        let name = match format {
            Format::OpenMetrics => self.name.to_owned(),
            Format::Prometheus => self.sample_name(),
        };
        out.push_str(&format!("# HELP {name} {}\n", self.help));
        out.push_str(&format!("# TYPE {name} {}\n", self.kind));
        if format == Format::OpenMetrics && !self.unit.is_empty() {
            out.push_str(&format!("# UNIT {name} {}\n", self.unit));
        }
    }

    /// The samples of one real server.
    fn samples(&self, server: &ServerName, ids: &[CheckerId], checks: &Checks, out: &mut String) {
        let name = self.sample_name();
        let (service, server) = (escaped(&server.0), escaped(&server.1));
        let labels = format!("virtual_server=\"{service}\",real_server=\"{server}\"");
        let per_check = |out: &mut String, value: &dyn Fn(&State<'_>) -> Option<String>| {
            for (number, state) in states(ids, checks) {
                if let Some(value) = value(&state) {
                    let check = state.checker.probe.keyword();
                    // Writing to a String cannot fail.
                    let _ = writeln!(
                        out,
                        "{name}{{{labels},check=\"{check}\",number=\"{number}\"}} {value}"
                    );
                }
            }
        };
        match self.value {
            Value::ServerUp => {
                let up = u8::from(is_up(ids, checks));
                let _ = writeln!(out, "{name}{{{labels}}} {up}");
            }
            Value::CheckUp => per_check(out, &|state| Some(u8::from(state.up).to_string())),
            Value::Attempts => per_check(out, &|state| Some(state.attempts.to_string())),
            Value::Failures => per_check(out, &|state| Some(state.failed_attempts.to_string())),
            Value::Shared => per_check(out, &|state| state.shared.then(|| "1".to_owned())),
            Value::LastDuration => per_check(out, &|state| {
                let last = state.last_duration?;
                Some(seconds(last))
            }),
        }
    }
}

/// The checks of a real server, numbered from 1 in the order of the file.
fn states<'a>(
    ids: &'a [CheckerId],
    checks: &'a Checks,
) -> impl Iterator<Item = (usize, State<'a>)> + 'a {
    ids.iter()
        .zip(1..)
        .filter_map(|(id, number)| Some((number, checks.state(*id)?)))
}

fn is_up(ids: &[CheckerId], checks: &Checks) -> bool {
    states(ids, checks).all(|(_, state)| state.up)
}

/// Seconds to the microsecond.
pub(super) fn seconds(time: Duration) -> String {
    format!("{}.{:06}", time.as_secs(), time.subsec_micros())
}

/// A label value: `\`, `"` and line ends are escaped.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[derive(Serialize)]
struct ServerStatus<'a> {
    virtual_server: &'a str,
    real_server: &'a str,
    up: bool,
    checks: Vec<CheckStatus>,
}

#[derive(Serialize)]
struct CheckStatus {
    check: &'static str,
    number: usize,
    up: bool,
    has_run: bool,
    attempts: u64,
    failures: u64,
    last_duration_seconds: Option<f64>,
    weight: Option<u32>,
}

/// One real server of `/status`.
fn json(name: &ServerName, ids: &[CheckerId], checks: &Checks) -> String {
    let list = states(ids, checks).map(|(number, state)| CheckStatus {
        check: state.checker.probe.keyword(),
        number,
        up: state.up,
        has_run: state.has_run,
        attempts: state.attempts,
        failures: state.failed_attempts,
        last_duration_seconds: state.last_duration.map(|last| last.as_secs_f64()),
        weight: state.weight.map(kr_model::units::Weight::get),
    });
    let status = ServerStatus {
        virtual_server: &name.0,
        real_server: &name.1,
        up: is_up(ids, checks),
        checks: list.collect(),
    };
    // Such a value can always be written.
    serde_json::to_string(&status).unwrap_or_default()
}
