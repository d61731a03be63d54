//! A line on its way to the tree, and which place of a file each of its bytes comes from.

use std::borrow::Cow;

use crate::source::{FileId, Span};

/// A line of a file, or one that came out of a parameter.
#[derive(Debug, Clone)]
pub(crate) struct Line<'a> {
    /// Its text without comment.
    pub(crate) text: Cow<'a, str>,
    origin: Origin,
}

/// Where bytes come from.
#[derive(Debug, Clone)]
enum Origin {
    /// Each from its own place, the first from this one.
    File { file: FileId, start: u32 },
    /// All from one use of a parameter.
    Use(Span),
    /// Several of these, in order.
    Pieces(Vec<Piece>),
}

#[derive(Debug, Clone)]
struct Piece {
    /// First byte in the line.
    start: usize,
    /// [`Origin::File`] with the place of that byte, or [`Origin::Use`].
    origin: Origin,
}

impl<'a> Line<'a> {
    /// A line that stands in a file from this byte on.
    pub(crate) fn of_file(text: Cow<'a, str>, file: FileId, start: usize) -> Self {
        let start = u32::try_from(start).unwrap_or(u32::MAX);
        Self {
            text,
            origin: Origin::File { file, start },
        }
    }

    /// A line that a parameter gave.
    pub(crate) fn of_use(text: Cow<'a, str>, place: Span) -> Self {
        Self {
            text,
            origin: Origin::Use(place),
        }
    }

    /// Where the bytes from `start` to before `end` come from.
    pub(crate) fn span(&self, start: usize, end: usize) -> Span {
        let first = self.origin.place(start);
        let last = self.origin.place(end.saturating_sub(1).max(start));
        if first.file == last.file && first.start <= last.start {
            Span {
                end: last.end,
                ..first
            }
        } else {
            first
        }
    }

    /// True when its bytes are those of the file from its place on: none stands for another character there.
    pub(crate) fn is_verbatim(&self) -> bool {
        self.is_of_file() && matches!(self.text, Cow::Borrowed(_))
    }

    /// True when the whole line stands in a file, be it with some characters taken for others.
    pub(crate) fn is_of_file(&self) -> bool {
        matches!(self.origin, Origin::File { .. })
    }
}

impl Origin {
    /// The place of one byte.
    fn place(&self, at: usize) -> Span {
        match self {
            Self::File { file, start } => {
                let start = start.saturating_add(u32::try_from(at).unwrap_or(u32::MAX));
                Span {
                    file: *file,
                    start,
                    end: start.saturating_add(1),
                }
            }
            Self::Use(span) => *span,
            Self::Pieces(pieces) => {
                let index = pieces
                    .partition_point(|piece| piece.start <= at)
                    .saturating_sub(1);
                pieces.get(index).map_or(
                    Span {
                        file: FileId(0),
                        start: 0,
                        end: 0,
                    },
                    |piece| piece.origin.place(at.saturating_sub(piece.start)),
                )
            }
        }
    }
}

/// A line that is put together from parts of another and values of parameters.
#[derive(Debug, Default)]
pub(crate) struct LineBuilder {
    text: String,
    pieces: Vec<Piece>,
}

impl LineBuilder {
    /// Appends a part of a line.
    pub(crate) fn copy(&mut self, line: &Line<'_>, from: usize, to: usize) {
        if from >= to {
            return;
        }
        let offset = self.text.len();
        self.text
            .push_str(line.text.get(from..to).unwrap_or_default());
        match &line.origin {
            Origin::File { .. } | Origin::Use(_) => self.pieces.push(Piece {
                start: offset,
                origin: line.origin.from(from),
            }),
            Origin::Pieces(pieces) => {
                let first = pieces
                    .partition_point(|piece| piece.start <= from)
                    .saturating_sub(1);
                let inside = pieces.iter().skip(first);
                for piece in inside.take_while(|piece| piece.start < to) {
                    let skipped = from.saturating_sub(piece.start);
                    self.pieces.push(Piece {
                        start: offset + piece.start.saturating_sub(from),
                        origin: piece.origin.from(skipped),
                    });
                }
            }
        }
    }

    /// Appends what a use gave.
    pub(crate) fn put(&mut self, text: &str, place: Span) {
        if !text.is_empty() {
            self.pieces.push(Piece {
                start: self.text.len(),
                origin: Origin::Use(place),
            });
            self.text.push_str(text);
        }
    }

    /// The line.
    pub(crate) fn finish(self) -> Line<'static> {
        Line {
            text: Cow::Owned(self.text),
            origin: Origin::Pieces(self.pieces),
        }
    }
}

impl Origin {
    /// The origin of what remains after some bytes; only for one that has no pieces.
    fn from(&self, skipped: usize) -> Self {
        match self {
            Self::File { file, start } => Self::File {
                file: *file,
                start: start.saturating_add(u32::try_from(skipped).unwrap_or(u32::MAX)),
            },
            Self::Use(_) | Self::Pieces(_) => self.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: FileId = FileId(3);

    fn span(start: u32, end: u32) -> Span {
        Span {
            file: FILE,
            start,
            end,
        }
    }

    #[test]
    fn bytes_of_a_file_keep_their_own_place() {
        let line = Line::of_file("priority 100".into(), FILE, 50);
        assert_eq!(line.span(0, 8), span(50, 58));
        assert_eq!(line.span(9, 12), span(59, 62));
    }

    #[test]
    fn bytes_of_a_parameter_get_the_place_of_its_use() {
        let source = Line::of_file("a ${X} b".into(), FILE, 10);
        let mut builder = LineBuilder::default();
        builder.copy(&source, 0, 2);
        builder.put("long value", source.span(2, 6));
        builder.copy(&source, 6, 8);
        let line = builder.finish();
        assert_eq!(line.text, "a long value b");
        assert_eq!(line.span(0, 1), span(10, 11));
        assert_eq!(line.span(2, 6), span(12, 16));
        assert_eq!(line.span(7, 12), span(12, 16));
        assert_eq!(line.span(13, 14), span(17, 18));

        let mut again = LineBuilder::default();
        again.copy(&line, 7, 14);
        let again = again.finish();
        assert_eq!(again.text, "value b");
        assert_eq!(again.span(0, 5), span(12, 16));
        assert_eq!(again.span(6, 7), span(17, 18));
    }
}
