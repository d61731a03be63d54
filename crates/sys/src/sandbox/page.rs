//! The tables as Markdown, for `SECURITY.md` beside this crate (`cargo xtask man` writes them there).

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::call::{Row, Verdict};
use super::reach::Tcp;
use crate::privilege::{Duty, Grant, Role};

/// What the duty of the packet filter adds, which no system call shows.
const FIREWALL: &str = "### vrrpd, when traffic to virtual addresses is dropped (`no_accept`, strict mode)\n\n\
Besides the above:\n\n| has | why |\n|---|---|\n\
| two netlink sockets of nf_tables, open before the sandbox | changes its packet filter tables, and hears when \
others change them; no further one can be opened |\n";

/// All tables, role by role.
#[must_use]
pub fn markdown() -> String {
    let mut page = String::new();
    for role in Role::ALL {
        let _ = writeln!(page, "### {}\n", role.program());
        page.push_str(&holdings(role));
        page.push_str(&calls(role.calls()));
    }
    let _ = writeln!(
        page,
        "### ipvsd, when checks have `fwmark` or a `bind_port` below 1024\n\nBesides the above:\n"
    );
    page.push_str("| has | why |\n|---|---|\n");
    for grant in Duty::LowPorts.grants() {
        let Grant { capability, reason } = grant;
        let _ = writeln!(page, "| `{capability}`, with such a port only | {reason} |");
    }
    page.push_str(tcp(Role::Ipvsd.tcp(Duty::LowPorts)));
    page.push('\n');
    page.push_str(&calls(Duty::LowPorts.calls()));
    page.push_str(FIREWALL);
    page.truncate(page.trim_end().len());
    page.push('\n');
    page
}

/// Capabilities, files, ports and limits in one table.
fn holdings(role: Role) -> String {
    let mut text = "| has | why |\n|---|---|\n".to_owned();
    for grant in role.grants() {
        let _ = writeln!(text, "| `{}` | {} |", grant.capability, grant.reason);
    }
    if role.grants().is_empty() {
        text.push_str("| no capability | needs none |\n");
    }
    for file in role.readable() {
        let _ = writeln!(text, "| reading `{}` | {} |", file.path, file.reason);
    }
    if role.readable().is_empty() {
        text.push_str("| no file | opens none once it runs |\n");
    }
    text.push_str(tcp(role.tcp(Duty::Usual)));
    for limit in role.limits() {
        let name = format!("{:?}", limit.resource);
        let _ = writeln!(text, "| `{name}` {} | {} |", limit.most, limit.reason);
    }
    text.push('\n');
    text
}

const fn tcp(tcp: Tcp) -> &'static str {
    match tcp {
        Tcp::Nothing => "| no TCP | connects nowhere and listens nowhere |\n",
        Tcp::Ports => "| TCP ports to connect from | connects nowhere itself |\n",
        Tcp::Anything => "| TCP from and to any port | servers to be checked are anywhere |\n",
    }
}

/// One line per system call; rows of the same call are put together.
fn calls(rows: impl Iterator<Item = &'static Row>) -> String {
    let mut lines: BTreeMap<&str, (Vec<String>, Vec<&str>)> = BTreeMap::new();
    for row in rows {
        let (cases, reasons) = lines.entry(row.name()).or_default();
        cases.extend(conditions(row));
        reasons.push(row.reason);
    }
    let mut text = "| system call | only with | why |\n|---|---|---|\n".to_owned();
    for (name, (cases, reasons)) in lines {
        let cases = cases.join("; ");
        let reasons = reasons.join("; ");
        let _ = writeln!(text, "| `{name}` | {cases} | {reasons} |");
    }
    text.push('\n');
    text
}

fn conditions(row: &Row) -> Vec<String> {
    match row.verdict {
        Verdict::Allowed => Vec::new(),
        Verdict::Refused => vec!["fails with `EACCES`".to_owned()],
        Verdict::AllowedWith(cases) => cases
            .iter()
            .map(|case| {
                let tests: Vec<String> =
                    case.iter().map(|test| format!("`{}`", test.text)).collect();
                tests.join(" ")
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Other architectures have fewer calls.
    #[cfg(target_arch = "x86_64")]
    #[test]
    fn the_security_page_holds_the_tables_as_they_are() {
        let page = include_str!("../../SECURITY.md");
        assert!(page.contains(&markdown()), "run `cargo xtask man`");
    }

    #[test]
    fn every_row_is_on_the_page_with_its_reason() {
        let page = markdown();
        for role in Role::ALL {
            for row in role.calls().chain(Duty::LowPorts.calls()) {
                assert!(page.contains(&format!("| `{}` |", row.name())));
                assert!(page.contains(row.reason), "{}", row.reason);
            }
        }
        assert!(page.contains(
            "| `openat` | `no O_WRONLY O_RDWR O_CREAT O_TRUNC O_APPEND` | reads /etc/hosts"
        ));
    }
}
