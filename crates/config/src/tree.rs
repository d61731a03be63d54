//! The form of a configuration after the lexical layer: statements of words, some with a block. Knows
//! no keywords.
//!
//! A [`Tree`] holds a whole configuration in a few bytes for each word, because a big one has half a million of
//! them and most stand in a file as they are. [`Statement`] is the form to work with, made from it one statement
//! outside all blocks at a time.

use crate::source::{FileId, Sources, Span};

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

/// All statements of a configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    nodes: Vec<Node>,
    /// Words that differ from the text at their place.
    own: Vec<Word>,
    /// Where the statements outside all blocks begin.
    roots: Vec<usize>,
}

/// A piece of a statement, in the order of the text. A file with more than 65,536 before it, or a text longer than
/// 4 GiB, does not occur: both are bounded by the reader, far below.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Node {
    /// The first word of a statement, as it stands in a file.
    Keyword { file: u16, start: u32, end: u32 },
    /// A further word, likewise.
    Argument { file: u16, start: u32, end: u32 },
    /// The first word, of [`Tree::own`].
    OwnKeyword(u32),
    /// A further word, likewise.
    OwnArgument(u32),
    /// The block of the statement begins; the place is that of the whole block.
    Open { file: u16, start: u32, end: u32 },
    /// The block ends.
    Close,
}

/// Position of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NodeAt(usize);

/// Whether a word begins a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// It does, outside all blocks.
    Root,
    /// It does, within a block.
    Keyword,
    /// It does not.
    Argument,
}

/// Text of a word on its way into the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NewWord<'a> {
    /// Its text.
    pub(crate) text: &'a str,
    /// Where it stands.
    pub(crate) span: Span,
    /// It was written in quotes.
    pub(crate) quoted: bool,
    /// Its text is what stands at its place.
    pub(crate) verbatim: bool,
}

impl Tree {
    /// The statements outside all blocks, in order.
    pub fn roots<'a>(&'a self, sources: &'a Sources) -> impl Iterator<Item = Root<'a>> {
        let tree = self;
        self.roots.iter().map(move |&at| Root { tree, sources, at })
    }

    /// Makes room for the pieces of a text of so many bytes, so that they are not copied from one place to a larger
    /// one again and again. A usual line has one for every eight to twelve.
    pub(crate) fn expect(&mut self, bytes: usize) {
        self.nodes.reserve(bytes / 10);
    }

    /// Adds a word.
    pub(crate) fn word(&mut self, part: Part, word: NewWord<'_>) -> NodeAt {
        let at = self.end();
        if part == Part::Root {
            self.roots.push(at.0);
        }
        let Span { file, start, end } = word.span;
        let node = match (u16::try_from(file.0), part) {
            (Ok(file), Part::Argument) if word.verbatim => Node::Argument { file, start, end },
            (Ok(file), Part::Root | Part::Keyword) if word.verbatim => {
                Node::Keyword { file, start, end }
            }
            (Ok(_) | Err(_), part) => {
                let index = u32::try_from(self.own.len()).unwrap_or(u32::MAX);
                self.own.push(Word {
                    text: word.text.to_owned(),
                    span: word.span,
                    quoted: word.quoted,
                });
                match part {
                    Part::Argument => Node::OwnArgument(index),
                    Part::Root | Part::Keyword => Node::OwnKeyword(index),
                }
            }
        };
        self.nodes.push(node);
        at
    }

    /// The block of the last statement begins.
    pub(crate) fn open(&mut self, span: Span) -> NodeAt {
        let at = self.end();
        let Span { file, start, end } = span;
        let file = u16::try_from(file.0).unwrap_or(u16::MAX);
        self.nodes.push(Node::Open { file, start, end });
        at
    }

    /// The block that began there ends at this byte, if that is in the same file.
    pub(crate) fn close(&mut self, begun: NodeAt, last: Span) {
        if let Some(Node::Open { file, end, .. }) = self.nodes.get_mut(begun.0)
            && u32::from(*file) == last.file.0
        {
            *end = last.end.max(*end);
        }
        self.nodes.push(Node::Close);
    }

    /// Where the next node will be.
    pub(crate) const fn end(&self) -> NodeAt {
        NodeAt(self.nodes.len())
    }

    /// Takes the last statement away, which begins there and has no block yet.
    pub(crate) fn take_last(&mut self, at: NodeAt) -> Taken {
        if self.roots.last() == Some(&at.0) {
            self.roots.pop();
        }
        Taken(self.nodes.split_off(at.0.min(self.nodes.len())))
    }

    /// Puts such a statement back, outside all blocks.
    pub(crate) fn put_back(&mut self, mut taken: Taken) -> NodeAt {
        let at = self.end();
        self.roots.push(at.0);
        self.nodes.append(&mut taken.0);
        at
    }

    /// Place of the last word or block.
    pub(crate) fn last_place(&self) -> Option<Span> {
        self.nodes
            .iter()
            .rev()
            .find(|node| **node != Node::Close)
            .and_then(|node| self.place(*node))
    }

    /// Text of the keyword of a statement.
    pub(crate) fn keyword_at<'a>(&'a self, at: NodeAt, sources: &'a Sources) -> &'a str {
        self.nodes
            .get(at.0)
            .map_or("", |node| self.text(*node, sources))
    }

    /// Place of the keyword of a statement.
    pub(crate) fn keyword_place(&self, at: NodeAt) -> Option<Span> {
        self.place(*self.nodes.get(at.0)?)
    }

    /// The statement that begins there, as far as it was read.
    pub(crate) fn statement_at(&self, at: NodeAt, sources: &Sources) -> Option<Statement> {
        self.statement(&mut at.0.clone(), sources, true)
    }

    fn place(&self, node: Node) -> Option<Span> {
        match node {
            Node::Keyword { file, start, end }
            | Node::Argument { file, start, end }
            | Node::Open { file, start, end } => Some(Span {
                file: FileId(file.into()),
                start,
                end,
            }),
            Node::OwnKeyword(index) | Node::OwnArgument(index) => {
                self.own_word(index).map(|word| word.span)
            }
            Node::Close => None,
        }
    }

    fn text<'a>(&'a self, node: Node, sources: &'a Sources) -> &'a str {
        match node {
            Node::Keyword { .. } | Node::Argument { .. } => {
                let place = self.place(node);
                place.and_then(|span| sources.slice(span))
            }
            Node::OwnKeyword(index) | Node::OwnArgument(index) => {
                self.own_word(index).map(|word| word.text.as_str())
            }
            Node::Open { .. } | Node::Close => None,
        }
        .unwrap_or_default()
    }

    fn own_word(&self, index: u32) -> Option<&Word> {
        self.own.get(usize::try_from(index).ok()?)
    }

    /// The word of a node that is one.
    fn word_of(&self, node: Node, sources: &Sources) -> Option<Word> {
        match node {
            Node::Keyword { .. } | Node::Argument { .. } => Some(Word {
                text: self.text(node, sources).to_owned(),
                span: self.place(node)?,
                quoted: false,
            }),
            Node::OwnKeyword(index) | Node::OwnArgument(index) => self.own_word(index).cloned(),
            Node::Open { .. } | Node::Close => None,
        }
    }

    /// The statement whose keyword is at `at`, which is behind it afterwards. Without `inner` its block is empty.
    fn statement(&self, at: &mut usize, sources: &Sources, inner: bool) -> Option<Statement> {
        let keyword = self.word_of(*self.nodes.get(*at)?, sources)?;
        *at += 1;
        let mut arguments = Vec::new();
        while let Some(node @ (Node::Argument { .. } | Node::OwnArgument(_))) = self.nodes.get(*at)
        {
            // Most statements have one: no room for more until there is one.
            if arguments.is_empty() {
                arguments.reserve_exact(1);
            }
            arguments.extend(self.word_of(*node, sources));
            *at += 1;
        }
        let mut block = None;
        if let Some(node @ Node::Open { .. }) = self.nodes.get(*at) {
            let span = self.place(*node)?;
            let mut statements = Vec::new();
            *at += 1;
            while inner
                && let Some(Node::Keyword { .. } | Node::OwnKeyword(_)) = self.nodes.get(*at)
            {
                statements.extend(self.statement(at, sources, true));
            }
            *at += 1;
            block = Some(Block { statements, span });
        }
        Some(Statement {
            keyword,
            arguments,
            block,
        })
    }
}

/// The pieces of a statement that was taken out of a tree.
#[derive(Debug)]
pub(crate) struct Taken(Vec<Node>);

/// A statement outside all blocks.
#[derive(Debug, Clone, Copy)]
pub struct Root<'a> {
    tree: &'a Tree,
    sources: &'a Sources,
    at: usize,
}

impl Root<'_> {
    /// The statement without what is in its block.
    #[must_use]
    pub fn head(&self) -> Option<Statement> {
        self.tree
            .statement(&mut self.at.clone(), self.sources, false)
    }

    /// The whole statement.
    #[must_use]
    pub fn statement(&self) -> Option<Statement> {
        self.tree
            .statement(&mut self.at.clone(), self.sources, true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_takes_twelve_bytes() {
        assert_eq!(size_of::<Node>(), 12);
    }
}
