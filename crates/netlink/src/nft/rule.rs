//! The expressions of a rule (`linux/netfilter/nf_tables.h`). Each loads a part of the packet into a register,
//! compares one, or decides; they are evaluated in order, and one that does not match ends the rule.

use super::layout::Set;
use crate::attributes::Writer;

/// `NFTA_LIST_ELEM`.
pub(super) const LIST_ELEMENT: u16 = 1;
/// `NFTA_DATA_VALUE`.
pub(super) const DATA_VALUE: u16 = 1;
/// `NFTA_DATA_VERDICT`.
const DATA_VERDICT: u16 = 2;

/// `NF_DROP`.
const DROP: u32 = 0;
/// `NF_ACCEPT`.
const ACCEPT: u32 = 1;
/// `NFT_GOTO`, which is -4.
const GOTO: u32 = u32::MAX - 3;

/// `NFT_CMP_EQ`.
const EQUAL: u32 = 0;

/// A register of 16 bytes. The second follows the first, so a value may reach from one into the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Register {
    /// `NFT_REG_1`.
    First,
    /// `NFT_REG_2`.
    Second,
}

impl Register {
    const fn number(self) -> u32 {
        match self {
            Self::First => 1,
            Self::Second => 2,
        }
    }
}

/// A header of the packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Header {
    /// IPv4 or IPv6.
    Network,
    /// What follows it.
    Transport,
}

/// What is known of a packet besides its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meta {
    /// Index of the interface that it came in on.
    InputIndex,
    /// Index of the interface that it leaves through.
    OutputIndex,
    /// Name of the interface that it came in on.
    InputName,
    /// Name of the interface that it leaves through.
    OutputName,
    /// Protocol behind all headers of the network layer.
    Protocol,
    /// Driver of the interface that it leaves through.
    OutputKind,
}

impl Meta {
    const fn key(self) -> u32 {
        match self {
            Self::InputIndex => 4,
            Self::OutputIndex => 5,
            Self::InputName => 6,
            Self::OutputName => 7,
            Self::Protocol => 16,
            Self::OutputKind => 27,
        }
    }
}

/// One expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expression {
    /// Bytes of the packet into a register.
    Payload {
        into: Register,
        header: Header,
        offset: u32,
        length: u32,
    },
    /// What is known of the packet into a register.
    Meta { into: Register, what: Meta },
    /// Goes on when the register begins with these bytes.
    Equal {
        register: Register,
        value: &'static [u8],
    },
    /// Keeps the bits of the mask in the first register.
    Mask { mask: &'static [u8] },
    /// Goes on when the set holds what begins in the register.
    Lookup { set: Set, register: Register },
    /// The same in a map, whose value goes into the second register.
    Map { set: Set },
    /// Sends a copy to the address in the first register through the interface in the second.
    Duplicate,
    /// Counts.
    Counter,
    /// Ends the packet's way.
    Drop,
    /// Ends its way through this chain.
    Accept,
    /// Goes on in another chain, for good.
    Goto(&'static str),
}

impl Expression {
    const fn name(self) -> &'static str {
        match self {
            Self::Payload { .. } => "payload",
            Self::Meta { .. } => "meta",
            Self::Equal { .. } => "cmp",
            Self::Mask { .. } => "bitwise",
            Self::Lookup { .. } | Self::Map { .. } => "lookup",
            Self::Duplicate => "dup",
            Self::Counter => "counter",
            Self::Drop | Self::Accept | Self::Goto(_) => "immediate",
        }
    }

    /// Writes it as an element of a list.
    pub(super) fn write(self, writer: &mut Writer) {
        writer.nest(LIST_ELEMENT, |w| {
            w.text(1, self.name());
            w.nest(2, |w| self.write_data(w));
        });
    }

    fn write_data(self, w: &mut Writer) {
        match self {
            Self::Payload {
                into,
                header,
                offset,
                length,
            } => {
                let base = match header {
                    Header::Network => 1,
                    Header::Transport => 2,
                };
                w.be32(1, into.number());
                w.be32(2, base);
                w.be32(3, offset);
                w.be32(4, length);
            }
            Self::Meta { into, what } => {
                w.be32(2, what.key());
                w.be32(1, into.number());
            }
            Self::Equal { register, value } => {
                w.be32(1, register.number());
                w.be32(2, EQUAL);
                w.nest(3, |w| w.attribute(DATA_VALUE, value));
            }
            Self::Mask { mask } => write_mask(w, mask),
            Self::Lookup { set, register } => {
                w.be32(2, register.number());
                w.text(1, set.name());
            }
            Self::Map { set } => {
                w.be32(2, Register::Second.number());
                w.be32(3, Register::Second.number());
                w.text(1, set.name());
            }
            Self::Duplicate => {
                w.be32(1, Register::First.number());
                w.be32(2, Register::Second.number());
            }
            Self::Counter => {}
            Self::Drop => write_verdict(w, DROP, None),
            Self::Accept => write_verdict(w, ACCEPT, None),
            Self::Goto(chain) => write_verdict(w, GOTO, Some(chain)),
        }
    }
}

fn write_mask(w: &mut Writer, mask: &[u8]) {
    let register = Register::First.number();
    w.be32(1, register);
    w.be32(2, register);
    w.be32(3, u32::try_from(mask.len()).unwrap_or(u32::MAX));
    w.nest(4, |w| w.attribute(DATA_VALUE, mask));
    w.nest(5, |w| w.attribute(DATA_VALUE, &vec![0; mask.len()]));
}

/// A verdict is put into register 0, which ends the rule.
fn write_verdict(w: &mut Writer, code: u32, chain: Option<&str>) {
    w.be32(1, 0);
    w.nest(2, |w| {
        w.nest(DATA_VERDICT, |w| {
            w.be32(1, code);
            if let Some(chain) = chain {
                w.text(2, chain);
            }
        });
    });
}
