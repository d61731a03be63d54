//! From PCRE2's syntax to that of the engines, which is nearly the same. What differs without being an
//! error there is what this is for: `{` that counts nothing, `[` in a class, `$` before the last line end,
//! `\<`, `\h`, `\Z`, possessive repetition, octal and short hexadecimal numbers.

use kr_model::check::PatternOptions;

use crate::PatternError;

const NAME_OF_SEVERAL: &str = "a name of a group with the option dupnames";
const NUMBER_INSTEAD: &str = "write the number of the group";

/// For whom is translated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Engine {
    /// The finite automaton.
    Automaton,
    /// The backtracking engine.
    Backtracking,
}

/// A translated pattern.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Translated {
    pub(crate) text: String,
    /// The automaton cannot do it.
    pub(crate) backtracking: bool,
}

/// Translates a pattern.
pub(crate) fn translate(
    text: &str,
    options: PatternOptions,
    engine: Engine,
) -> Result<Translated, PatternError> {
    let mut translator = Translator {
        whole: text,
        rest: text,
        out: String::with_capacity(text.len()),
        options,
        engine,
        flags: Flags {
            extended: options.contains(PatternOptions::EXTENDED),
            multi_line: options.contains(PatternOptions::MULTILINE),
        },
        open: Vec::new(),
        backtracking: false,
    };
    translator.pattern()?;
    Ok(Translated {
        text: translator.out,
        backtracking: translator.backtracking,
    })
}

/// Inline flags that change what is read here.
#[derive(Debug, Clone, Copy)]
struct Flags {
    extended: bool,
    multi_line: bool,
}

struct Translator<'a> {
    whole: &'a str,
    rest: &'a str,
    out: String,
    options: PatternOptions,
    engine: Engine,
    flags: Flags,
    /// The flags outside of each open group.
    open: Vec<Flags>,
    backtracking: bool,
}

type Done = Result<(), PatternError>;

impl Translator<'_> {
    fn next(&mut self) -> Option<char> {
        let mut characters = self.rest.chars();
        let next = characters.next();
        self.rest = characters.as_str();
        next
    }

    fn eat(&mut self, prefix: &str) -> bool {
        let rest = self.rest.strip_prefix(prefix);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    /// What stands before `end`, which is eaten too.
    fn until(&mut self, end: char) -> Option<String> {
        let (inside, rest) = self.rest.split_once(end)?;
        self.rest = rest;
        Some(inside.to_owned())
    }

    /// Refuses what begins `back` characters before the next one.
    fn refuse(&self, back: usize, what: &'static str, instead: &'static str) -> Done {
        let rest = self.rest.chars().count();
        let read = self.whole.chars().count().saturating_sub(rest);
        Err(PatternError::Construct {
            at: read.saturating_sub(back).saturating_add(1),
            what,
            instead,
        })
    }

    fn pattern(&mut self) -> Done {
        while let Some(character) = self.next() {
            match character {
                '\\' => self.escape()?,
                '[' => self.class()?,
                '(' => self.group()?,
                ')' => {
                    self.flags = self.open.pop().unwrap_or(self.flags);
                    self.out.push(')');
                }
                '{' if !counts(self.rest) => self.out.push_str("\\{"),
                '{' => {
                    let count = self.until('}').unwrap_or_default();
                    self.out.push_str(&format!("{{{count}}}"));
                    self.after_repetition();
                }
                '*' | '+' | '?' => {
                    self.out.push(character);
                    self.after_repetition();
                }
                '$' if self.flags.multi_line
                    || self.options.contains(PatternOptions::DOLLAR_ENDONLY) =>
                {
                    self.out.push('$');
                }
                '$' => self.end_or_last_line_end(),
                '#' if self.flags.extended => {
                    self.rest = self.rest.split_once('\n').map_or("", |(_, rest)| rest);
                }
                literal => self.literal(literal),
            }
        }
        Ok(())
    }

    /// A plus after a repetition makes it possessive: it gives nothing back.
    fn after_repetition(&mut self) {
        if self.eat("+") {
            self.backtracking = true;
            self.out.push('+');
        } else if self.eat("?") {
            self.out.push('?');
        }
    }

    /// `$` and `\Z`: at the end, or before a line end that is the last character. Where nothing follows in
    /// the pattern it is the same to take the line end in.
    fn end_or_last_line_end(&mut self) {
        let closes = self.rest.trim_start_matches(')').is_empty();
        if closes || (self.open.is_empty() && self.rest.starts_with('|')) {
            self.out.push_str("(?:\\n?\\z)");
        } else {
            self.backtracking = true;
            self.out.push_str("(?=\\n?\\z)");
        }
    }

    /// A character that stands for itself. Without `utf` a pattern is bytes, as the body is.
    fn literal(&mut self, character: char) {
        if character.is_ascii() || self.options.contains(PatternOptions::UTF) {
            self.out.push(character);
        } else {
            let mut buffer = [0; 4];
            for byte in character.encode_utf8(&mut buffer).bytes() {
                self.number(u32::from(byte));
            }
        }
    }

    /// A character by its number.
    fn number(&mut self, number: u32) {
        self.out.push_str(&if number <= 0xff {
            format!("\\x{number:02X}")
        } else {
            format!("\\x{{{number:X}}}")
        });
    }

    fn group(&mut self) -> Done {
        const CALL: &str = "write out what the group holds";
        if self.rest.starts_with('*') {
            return self.refuse(1, "a verb", "remove it; `regex_options` has the options");
        }
        if !self.eat("?") {
            return self.enter("(");
        }
        if self.eat("#") {
            let comment = self.until(')');
            return match comment {
                Some(_) => Ok(()),
                None => Err(PatternError::Syntax("a comment is not closed".to_owned())),
            };
        }
        for look in ["=", "!", ">", "<=", "<!"] {
            if self.eat(look) {
                self.backtracking = true;
                return self.enter(&format!("(?{look}"));
            }
        }
        if self.eat(":") {
            return self.enter("(?:");
        }
        if self.eat("P=") {
            return self.back_reference(')');
        }
        if self.eat("<") || self.eat("P<") {
            return self.named_group('>');
        }
        if self.eat("'") {
            return self.named_group('\'');
        }
        let mut next = self.rest.trim_start_matches(['-', '+']).chars();
        match next.next() {
            Some('0'..='9' | 'R' | '&' | 'P') => self.refuse(2, "a call of a group", CALL),
            Some('(') => self.condition(),
            Some('|') => self.refuse(2, "a branch reset", "write `(?:`"),
            Some('C') => self.refuse(2, "a callout", "remove it"),
            Some(_) | None => self.inline_flags(),
        }
    }

    /// `(?(1)yes|no)`, also with the name of a group.
    fn condition(&mut self) -> Done {
        let inside = self
            .rest
            .strip_prefix('(')
            .and_then(|rest| rest.split_once(')'));
        let Some((group, rest)) = inside else {
            return Err(PatternError::Syntax("a condition is not closed".to_owned()));
        };
        let name = group
            .trim_start_matches(['<', '\''])
            .trim_end_matches(['>', '\'']);
        let number = !group.is_empty() && group.bytes().all(|byte| byte.is_ascii_digit());
        if !number && name == group {
            return self.refuse(
                2,
                "a condition",
                "write both cases as alternatives, or the number or name of a group",
            );
        }
        if !number && self.options.contains(PatternOptions::DUPNAMES) {
            return self.refuse(2, NAME_OF_SEVERAL, NUMBER_INSTEAD);
        }
        self.backtracking = true;
        self.rest = rest;
        if number {
            self.enter(&format!("(?({group})"))
        } else {
            self.enter(&format!("(?(<{name}>)"))
        }
    }

    /// A named group. With `dupnames` only its number is left of it.
    fn named_group(&mut self, end: char) -> Done {
        let name = self.until(end).unwrap_or_default();
        if self.options.contains(PatternOptions::DUPNAMES) {
            return self.enter("(");
        }
        self.enter(&format!("(?P<{name}>"))
    }

    fn enter(&mut self, opening: &str) -> Done {
        self.open.push(self.flags);
        self.out.push_str(opening);
        Ok(())
    }

    /// `(?i-s)` for the rest of the enclosing group, `(?i:...)` for its own.
    fn inline_flags(&mut self) -> Done {
        let outside = self.flags;
        let mut on = true;
        self.out.push_str("(?");
        while let Some(flag) = self.next() {
            match flag {
                '-' => on = false,
                'm' => self.flags.multi_line = on,
                // Also `xx`.
                'x' if self.rest.starts_with('x') => continue,
                'x' => self.flags.extended = on,
                'i' | 's' | 'U' => {}
                ':' => {
                    self.open.push(outside);
                    self.out.push(':');
                    return Ok(());
                }
                ')' => {
                    self.out.push(')');
                    return Ok(());
                }
                _ => {
                    return self.refuse(
                        1,
                        "this flag",
                        "of the flags only i, m, s, U and x are known",
                    );
                }
            }
            self.out.push(flag);
        }
        Ok(())
    }

    /// The name or number of a group up to `end`.
    fn back_reference(&mut self, end: char) -> Done {
        let group = self.until(end).unwrap_or_default();
        self.backtracking = true;
        if group.starts_with('-') {
            return self.refuse(
                1,
                "a relative back reference",
                "write the number of the group",
            );
        }
        if group.bytes().all(|byte| byte.is_ascii_digit()) {
            self.reference(&format!("\\{group}"), &group);
        } else if self.options.contains(PatternOptions::DUPNAMES) {
            return self.refuse(1, NAME_OF_SEVERAL, NUMBER_INSTEAD);
        } else {
            self.reference(&format!("\\k<{group}>"), &format!("<{group}>"));
        }
        Ok(())
    }

    /// What a group matched; `group` is how a condition calls it.
    fn reference(&mut self, reference: &str, group: &str) {
        if self.options.contains(PatternOptions::MATCH_UNSET_BACKREF) {
            self.out.push_str(&format!("(?({group}){reference}|)"));
        } else {
            self.out.push_str(reference);
        }
    }

    fn escape(&mut self) -> Done {
        let Some(character) = self.next() else {
            return Err(PatternError::Syntax("it ends with a backslash".to_owned()));
        };
        match character {
            'A' | 'z' | 'B' => self.out.extend(['\\', character]),
            'b' if self.ascii_classes() && self.engine == Engine::Automaton => {
                self.out.push_str("(?-u:\\b)");
            }
            'b' => self.out.push_str("\\b"),
            'Z' => self.end_or_last_line_end(),
            'N' => self.out.push_str("[^\\n]"),
            'R' => self.out.push_str("(?:\\r\\n|[\\n\\x0B\\f\\r])"),
            // What the match is said to begin with does not matter.
            'K' => {}
            'k' => match self.next() {
                Some('<') => self.back_reference('>')?,
                Some('{') => self.back_reference('}')?,
                Some('\'') => self.back_reference('\'')?,
                Some(_) | None => return self.refuse(3, "this escape", "write `\\k<NAME>`"),
            },
            'g' if self.eat("{") => self.back_reference('}')?,
            'g' => {
                return self.refuse(
                    2,
                    "a call of a group",
                    "write `\\g{NUMBER}`, or what the group holds",
                );
            }
            '1'..='9' => {
                self.backtracking = true;
                let mut number = String::from(character);
                number.push_str(&self.digits(10, 2));
                self.reference(&format!("\\{number}"), &number);
            }
            'G' => {
                return self.refuse(
                    2,
                    "`\\G`",
                    "write `\\A`, or use regex_min_offset and regex_max_offset",
                );
            }
            'X' => return self.refuse(2, "`\\X`", "write `.`"),
            'C' => return self.refuse(2, "`\\C`", "write `.` and leave the option utf away"),
            other => self.shared_escape(other)?,
        }
        Ok(())
    }

    /// Escapes that mean the same inside a class and outside.
    fn shared_escape(&mut self, character: char) -> Done {
        match character {
            'Q' => {
                let (quoted, rest) = self.rest.split_once("\\E").unwrap_or((self.rest, ""));
                self.rest = rest;
                for character in quoted.chars() {
                    self.itself(character);
                }
            }
            'E' => {}
            'd' | 'D' | 's' | 'S' | 'w' | 'W' => self.kind(character),
            'h' => self.out.push_str("[\\t\\x20\\xA0]"),
            'H' => self.out.push_str("[^\\t\\x20\\xA0]"),
            'v' => self.out.push_str("[\\n\\x0B\\f\\r]"),
            'V' => self.out.push_str("[^\\n\\x0B\\f\\r]"),
            'n' | 'r' | 't' | 'f' | 'a' => self.out.extend(['\\', character]),
            'p' | 'P' if !self.options.contains(PatternOptions::UTF) => {
                return self.refuse(
                    2,
                    "a Unicode property without the option utf",
                    "write `regex_options utf`",
                );
            }
            'p' | 'P' => {
                self.out.extend(['\\', character]);
                if self.eat("{") {
                    let property = self.until('}').unwrap_or_default();
                    self.out.push_str(&format!("{{{property}}}"));
                }
            }
            'e' => self.number(0x1b),
            'c' => match self.next() {
                Some(letter) if letter.is_ascii_graphic() => {
                    self.number(u32::from(letter.to_ascii_uppercase()) ^ 0x40);
                }
                Some(_) | None => {
                    return self.refuse(
                        2,
                        "this control character",
                        "write its number, as in `\\x01`",
                    );
                }
            },
            'x' | 'u' | 'U' if self.options.contains(PatternOptions::ALT_BSUX) => {
                self.javascript(character);
            }
            'x' => self.hexadecimal(),
            '0' => {
                let digits = self.digits(8, 2);
                self.number(u32::from_str_radix(&digits, 8).unwrap_or(0));
            }
            other if other.is_ascii_alphanumeric() => {
                return self.refuse(
                    2,
                    "this escape",
                    "remove the backslash if the character stands for itself",
                );
            }
            other => self.itself(other),
        }
        Ok(())
    }

    /// `\d` and the like know only ASCII without `ucp`.
    fn kind(&mut self, letter: char) {
        self.out.push_str(match letter {
            'd' if self.ascii_classes() => "[0-9]",
            'D' if self.ascii_classes() => "[^0-9]",
            's' if self.ascii_classes() => "[\\t\\n\\x0B\\f\\r\\x20]",
            'S' if self.ascii_classes() => "[^\\t\\n\\x0B\\f\\r\\x20]",
            'w' if self.ascii_classes() => "[0-9A-Za-z_]",
            'W' if self.ascii_classes() => "[^0-9A-Za-z_]",
            _ => {
                self.out.extend(['\\', letter]);
                return;
            }
        });
    }

    fn ascii_classes(&self) -> bool {
        self.options.contains(PatternOptions::UTF) && !self.options.contains(PatternOptions::UCP)
    }

    /// A character that has no meaning of its own, whatever it is.
    fn itself(&mut self, character: char) {
        if character.is_ascii() && !character.is_ascii_alphanumeric() {
            self.number(u32::from(character));
        } else {
            self.literal(character);
        }
    }

    /// `\x`, `\xA`, `\x4A`, `\x{20AC}`.
    fn hexadecimal(&mut self) {
        let digits = if self.eat("{") {
            self.until('}').unwrap_or_default()
        } else {
            self.digits(16, 2)
        };
        match u32::from_str_radix(if digits.is_empty() { "0" } else { &digits }, 16) {
            Ok(number) => self.number(number),
            // The engine says what is wrong with it.
            Err(_) => self.out.push_str(&format!("\\x{{{digits}}}")),
        }
    }

    /// `\x4A` and `\u20AC`; without exactly so many digits, and for `\U`, the letter itself.
    fn javascript(&mut self, letter: char) {
        let rest = self.rest;
        let count = if letter == 'x' { 2 } else { 4 };
        let digits = self.digits(16, count);
        match u32::from_str_radix(&digits, 16) {
            Ok(number) if letter != 'U' && digits.len() == count => self.number(number),
            Ok(_) | Err(_) => {
                self.rest = rest;
                self.out.push(letter);
            }
        }
    }

    fn digits(&mut self, radix: u32, most: usize) -> String {
        let digits: String = self
            .rest
            .chars()
            .take(most)
            .take_while(|character| character.is_digit(radix))
            .collect();
        self.rest = self.rest.get(digits.len()..).unwrap_or_default();
        digits
    }

    fn class(&mut self) -> Done {
        if self.options.contains(PatternOptions::ALLOW_EMPTY_CLASS) {
            if self.eat("]") {
                self.out.push_str("[a&&b]");
                return Ok(());
            }
            if self.eat("^]") {
                self.out.push_str("[\\s\\S]");
                return Ok(());
            }
        }
        self.out.push('[');
        if self.eat("^") {
            self.out.push('^');
        }
        // Here it stands for itself.
        if self.eat("]") {
            self.out.push_str("\\]");
        }
        while let Some(character) = self.next() {
            match character {
                ']' => {
                    self.out.push(']');
                    return Ok(());
                }
                '[' if self.rest.starts_with(':') && self.rest.contains(":]") => {
                    let name = self.until(']').unwrap_or_default();
                    self.out.push_str(&format!("[{name}]"));
                }
                '\\' => match self.next() {
                    None => {
                        return Err(PatternError::Syntax("it ends with a backslash".to_owned()));
                    }
                    Some('b') => self.number(8),
                    Some(other) => self.shared_escape(other)?,
                },
                // Sets of sets are not known there.
                '[' | '&' | '~' => self.number(u32::from(character)),
                '-' if self.rest.starts_with('-') => {
                    self.next();
                    self.out.push_str("-\\-");
                }
                // White space counts inside a class.
                ' ' | '\t' | '\n' | '\r' | '\x0b' | '\x0c' | '#' => {
                    self.number(u32::from(character))
                }
                literal => self.literal(literal),
            }
        }
        Err(PatternError::Syntax("a `[` is not closed".to_owned()))
    }
}

/// What follows an opening brace makes it a repetition: `3}`, `3,}`, `3,5}`.
fn counts(rest: &str) -> bool {
    let Some((inside, _)) = rest.split_once('}') else {
        return false;
    };
    let (least, most) = inside.split_once(',').unwrap_or((inside, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    !least.is_empty() && digits(least) && digits(most)
}
