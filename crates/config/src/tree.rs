//! The form of a configuration after the lexical layer: statements of words, some with a block. Knows
//! no keywords.

use crate::source::Span;

/// A word, with quotes taken away and macros replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// Its text.
    pub text: String,
    /// Where it stands. The place of use when it comes from a macro.
    pub span: Span,
    /// It was written in double or single quotes.
    pub quoted: bool,
}

/// A line or block: `KEYWORD ARG...` or `KEYWORD ARG... { ... }`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// First word.
    pub keyword: Word,
    /// Further words.
    pub arguments: Vec<Word>,
    /// The block, when there is one.
    pub block: Option<Block>,
}

/// The statements between braces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// The statements in order.
    pub statements: Vec<Statement>,
    /// From `{` to `}`.
    pub span: Span,
}
