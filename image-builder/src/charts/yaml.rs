//! YAML as it streams by, an event at a time: nothing of a text stays in memory that
//! was not asked for.

use std::cell::{Cell, RefCell};
use std::io::{self, BufReader, Bytes, Read};
use std::rc::Rc;

use saphyr_parser::{BufferedInput, Event, Parser, ScalarStyle};

/// Deeper than anything anybody writes.
const DEEPEST: usize = 64;

/// Why a text cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum YamlError {
    /// It has another form.
    #[error("{0}")]
    Form(String),
    /// It does not come.
    #[error("reading it failed: {0}")]
    Read(io::Error),
}

/// A value, or the beginning or end of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Item {
    /// A text, a number, a truth value: as written.
    Text(String),
    /// No value.
    Null,
    /// What was written elsewhere.
    Alias,
    /// A list begins.
    List,
    /// A table begins.
    Map,
    /// The last of these ends.
    End,
}

/// A document that is being read.
pub(super) struct Events<'a, R: Read + 'a> {
    parser: Parser<'a, BufferedInput<Chars<R>>>,
    /// Bytes that may still come before the next [`Events::ration`].
    left: Rc<Cell<u64>>,
    /// What ended the characters, which is no matter of the parser's.
    trouble: Rc<RefCell<Option<YamlError>>>,
    ration: u64,
    depth: usize,
}

impl<'a, R: Read + 'a> Events<'a, R> {
    /// Begins with a document that is a table. No more than `ration` bytes may come
    /// between two calls of [`Events::ration`]: that is what may be in memory.
    ///
    /// # Errors
    /// When it is no table, or cannot be read.
    pub(super) fn of_map(text: R, ration: u64) -> Result<Self, YamlError> {
        let left = Rc::new(Cell::new(ration));
        let trouble = Rc::new(RefCell::new(None));
        let chars = Chars {
            bytes: BufReader::new(text).bytes(),
            left: Rc::clone(&left),
            ration,
            trouble: Rc::clone(&trouble),
        };
        let mut events = Self {
            parser: Parser::new_from_iter(chars),
            left,
            trouble,
            ration,
            depth: 0,
        };
        match events.next()? {
            Item::Map => Ok(events),
            _ => Err(form("it is not a table of keys and values")),
        }
    }

    /// Lets as many bytes come as in the beginning.
    pub(super) fn ration(&self) {
        self.left.set(self.ration);
    }

    /// The next item.
    ///
    /// # Errors
    /// When the text is no YAML, or cannot be read.
    pub(super) fn next(&mut self) -> Result<Item, YamlError> {
        loop {
            let event = self.parser.next_event();
            // It saw the end of the text, and may take that for a good one.
            if let Some(trouble) = self.trouble.take() {
                return Err(trouble);
            }
            let (event, _) = match event {
                Some(Ok(event)) => event,
                Some(Err(error)) => return Err(form(&error.to_string())),
                None => return Err(form("it ends too early")),
            };
            let item = match event {
                Event::Scalar(text, style, ..) if is_null(&text, style) => Item::Null,
                Event::Scalar(text, ..) => Item::Text(text.into_owned()),
                Event::Alias(_) => Item::Alias,
                Event::SequenceStart(..) => Item::List,
                Event::MappingStart(..) => Item::Map,
                Event::SequenceEnd | Event::MappingEnd => Item::End,
                Event::StreamEnd => return Err(form("there is nothing in it")),
                _ => continue,
            };
            match item {
                Item::List | Item::Map => self.depth += 1,
                Item::End => self.depth -= 1,
                _ => {}
            }
            return match self.depth > DEEPEST {
                true => Err(form("its values lie too deep in each other")),
                false => Ok(item),
            };
        }
    }

    /// The next key of a table, `None` at its end.
    ///
    /// # Errors
    /// As [`Events::next`], and when a key is no text.
    pub(super) fn key(&mut self) -> Result<Option<String>, YamlError> {
        match self.next()? {
            Item::Text(key) => Ok(Some(key)),
            // A table may have `null` among its keys.
            Item::Null => Ok(Some(String::new())),
            Item::End => Ok(None),
            _ => Err(form("one of its keys is no text")),
        }
    }

    /// A value that is a text, or is not there.
    ///
    /// # Errors
    /// As [`Events::next`], and when it is something else.
    pub(super) fn text(&mut self, key: &str) -> Result<Option<String>, YamlError> {
        match self.next()? {
            Item::Text(text) => Ok(Some(text)),
            Item::Null => Ok(None),
            _ => Err(form(&format!("its `{key}` is no text"))),
        }
    }

    /// Whether a list begins; `false` for one that is not there.
    ///
    /// # Errors
    /// As [`Events::next`], and when it is something else.
    pub(super) fn list(&mut self, key: &str) -> Result<bool, YamlError> {
        match self.next()? {
            Item::List => Ok(true),
            Item::Null => Ok(false),
            _ => Err(form(&format!("its `{key}` is no list"))),
        }
    }

    /// Passes over the value that comes next.
    ///
    /// # Errors
    /// As [`Events::next`].
    pub(super) fn skip(&mut self) -> Result<(), YamlError> {
        let item = self.next()?;
        self.skip_rest(&item)
    }

    /// Passes over the rest of the value that begins with `item`.
    ///
    /// # Errors
    /// As [`Events::next`].
    pub(super) fn skip_rest(&mut self, item: &Item) -> Result<(), YamlError> {
        if matches!(item, Item::List | Item::Map) {
            let outside = self.depth - 1;
            while self.depth > outside {
                self.next()?;
            }
        }
        Ok(())
    }

    /// Makes sure that nothing comes behind the document.
    ///
    /// # Errors
    /// When something does.
    pub(super) fn finish(mut self) -> Result<(), YamlError> {
        loop {
            let event = self.parser.next_event();
            if let Some(trouble) = self.trouble.take() {
                return Err(trouble);
            }
            match event {
                Some(Ok((Event::DocumentEnd, _))) => {}
                Some(Ok((Event::StreamEnd, _))) | None => return Ok(()),
                Some(Ok(_)) => return Err(form("there is a second document in it")),
                Some(Err(error)) => return Err(form(&error.to_string())),
            }
        }
    }
}

/// What is wrong with the form of a text.
pub(super) fn form(why: &str) -> YamlError {
    YamlError::Form(why.to_owned())
}

/// YAML 1.2.2, 10.3.2.
fn is_null(text: &str, style: ScalarStyle) -> bool {
    style == ScalarStyle::Plain && matches!(text, "" | "~" | "null" | "Null" | "NULL")
}

/// The characters of a text, as long as they come and are few enough.
struct Chars<R: Read> {
    bytes: Bytes<BufReader<R>>,
    left: Rc<Cell<u64>>,
    ration: u64,
    trouble: Rc<RefCell<Option<YamlError>>>,
}

impl<R: Read> Chars<R> {
    fn byte(&mut self) -> Option<u8> {
        let Some(left) = self.left.get().checked_sub(1) else {
            let why = format!(
                "there are more than {} bytes between two entries",
                self.ration
            );
            return self.end(form(&why));
        };
        self.left.set(left);
        match self.bytes.next()? {
            Ok(byte) => Some(byte),
            Err(error) => self.end(YamlError::Read(error)),
        }
    }

    fn end<T>(&self, trouble: YamlError) -> Option<T> {
        self.trouble.borrow_mut().get_or_insert(trouble);
        None
    }
}

impl<R: Read> Iterator for Chars<R> {
    type Item = char;

    fn next(&mut self) -> Option<char> {
        let first = self.byte()?;
        if first.is_ascii() {
            return Some(first.into());
        }
        // RFC 3629, section 3: the first byte says how many there are.
        let mut bytes = [first, 0, 0, 0];
        let len = first.leading_ones() as usize;
        for place in 1..len.min(bytes.len()) {
            bytes[place] = self.byte().unwrap_or_default();
        }
        let char = bytes
            .get(..len)
            .and_then(|bytes| std::str::from_utf8(bytes).ok()?.chars().next());
        match char {
            Some(char) => Some(char),
            None => self.end(form("it is not UTF-8")),
        }
    }
}
