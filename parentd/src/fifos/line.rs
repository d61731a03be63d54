//! The lines of the FIFOs, byte for byte those of keepalived. Pure.

/// `INSTANCE "NAME" WORD PRIORITY`: a state, or an event of a priority.
pub(crate) fn instance(name: &str, word: &str, priority: u8) -> String {
    format!("INSTANCE \"{name}\" {word} {priority}\n")
}

/// `GROUP "NAME" STATE 0`.
pub(crate) fn group(name: &str, word: &str) -> String {
    format!("GROUP \"{name}\" {word} 0\n")
}

/// `VS LABEL UP`: a virtual server has, or lacks, its quorum.
pub(crate) fn virtual_server(label: &str, up: bool) -> String {
    format!("VS {label} {}\n", word(up))
}

/// `RS LABEL SERVICE UP`: a real server of a virtual server is, or is not, in service.
pub(crate) fn real_server(label: &str, service: &str, up: bool) -> String {
    format!("RS {label} {service} {}\n", word(up))
}

const fn word(up: bool) -> &'static str {
    if up { "UP" } else { "DOWN" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_those_of_keepalived() {
        assert_eq!(
            instance("VI 1", "MASTER", 100),
            "INSTANCE \"VI 1\" MASTER 100\n"
        );
        assert_eq!(group("G", "FAULT"), "GROUP \"G\" FAULT 0\n");
        assert_eq!(
            virtual_server("[10.9.2.1]:tcp:80", false),
            "VS [10.9.2.1]:tcp:80 DOWN\n"
        );
        assert_eq!(
            real_server("[10.0.0.2]:tcp:18080", "[10.9.2.1]:tcp:80", true),
            "RS [10.0.0.2]:tcp:18080 [10.9.2.1]:tcp:80 UP\n"
        );
    }
}
