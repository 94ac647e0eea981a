//! A second look at a body that is no text or no JSON: bytes that are not UTF-8 and raw control
//! characters in a string harm only the event in which they stand. Nothing of it runs for a good body.

/// Faults noted of one body; more are beyond help.
const FAULTS_MAX: usize = 10_000;

/// The body as text, U+FFFD or a space in place of what is none.
#[derive(Debug)]
pub struct Salvaged {
    text: String,
    /// Where in the text, in order.
    faults: Vec<usize>,
}

impl Salvaged {
    /// None where the body has no such fault, or too many.
    #[must_use]
    pub fn of(body: &[u8]) -> Option<Self> {
        let mut salvaged = Self {
            text: String::with_capacity(body.len()),
            faults: Vec::new(),
        };
        let mut strings = Strings::default();
        for chunk in body.utf8_chunks() {
            for character in chunk.valid().chars() {
                if strings.holds(character) && character.is_ascii_control() && character != '\x7f' {
                    salvaged.replace(' ')?;
                } else {
                    salvaged.text.push(character);
                }
            }
            if !chunk.invalid().is_empty() {
                salvaged.replace(char::REPLACEMENT_CHARACTER)?;
            }
        }
        (!salvaged.faults.is_empty()).then_some(salvaged)
    }

    fn replace(&mut self, by: char) -> Option<()> {
        self.faults.push(self.text.len());
        self.text.push(by);
        (self.faults.len() <= FAULTS_MAX).then_some(())
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// How many faults the part of the text has that `raw` is, and where in it the first stands.
    pub(super) fn faults_of(&self, raw: &str) -> (usize, Option<usize>) {
        let begin = (raw.as_ptr() as usize).saturating_sub(self.text.as_ptr() as usize);
        let below = |end| self.faults.partition_point(|fault| *fault < end);
        let own = &self.faults[below(begin)..below(begin + raw.len())];
        (own.len(), own.first().map(|fault| fault - begin))
    }

    /// True where that is every fault there is.
    pub(super) fn is_all(&self, faults: usize) -> bool {
        self.faults.len() == faults
    }
}

/// Which characters of a JSON text stand in a string.
#[derive(Default)]
struct Strings {
    open: bool,
    escaped: bool,
}

impl Strings {
    fn holds(&mut self, next: char) -> bool {
        let inside = self.open;
        match next {
            _ if self.escaped => self.escaped = false,
            '\\' => self.escaped = self.open,
            '"' => self.open = !self.open,
            _ => {}
        }
        inside
    }
}
