//! The virtual printer: print formats, what a mailer looks like, and where it goes (pins.md 2.35).
//!
//! A [`Document`] holds the clear text of a mailer. It exists between the host operation that prints it and the [`PrintSink`],
//! is erased on drop and never appears in `Debug` output, logs or responses.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use zeroize::Zeroizing;

/// Most symbols and constants of a print format.
pub const MAX_SYMBOLS: usize = 299;
/// Print fields that a format can name: `^0` to `^F`.
pub const PRINT_FIELDS: usize = 16;
/// Columns of a line; further ones are cut off.
const MAX_COLUMN: usize = 255;
/// Lines of a page of a PDF file.
const PDF_LINES: usize = 60;

/// A printed document.
pub struct Document {
    number: u64,
    command: [u8; 2],
    text: Zeroizing<Vec<u8>>,
}

impl core::fmt::Debug for Document {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Document {{ {}, {} }}", self.number, self.name())
    }
}

impl Document {
    /// A document of a command, numbered by the printer.
    #[must_use]
    pub fn new(number: u64, command: [u8; 2], text: Zeroizing<Vec<u8>>) -> Self {
        Self { number, command, text }
    }

    /// Number and command: `000001-PE`.
    #[must_use]
    pub fn name(&self) -> String {
        let [a, b] = self.command.map(char::from);
        format!("{:06}-{a}{b}", self.number)
    }

    /// What goes to the printer: lines ended by line feeds, form feeds, and escape sequences of the format.
    #[must_use]
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// The document as a PDF file: Courier on A4, a page for each form feed. Escape sequences and characters outside ASCII are
    /// left out.
    #[must_use]
    pub fn to_pdf(&self) -> Zeroizing<Vec<u8>> {
        let mut pages: Vec<Vec<&[u8]>> = Vec::new();
        let body = self.text.strip_suffix(b"\x0C").unwrap_or(&self.text);
        for form in body.split(|c| *c == 0x0C) {
            let lines: Vec<&[u8]> = form.split(|c| *c == b'\n').collect();
            pages.extend(lines.chunks(PDF_LINES).map(<[_]>::to_vec));
        }
        let (count, mut pdf) = (pages.len(), Pdf::default());
        let kids: Vec<String> = (0..count).map(|n| format!("{} 0 R", 4 + 2 * n)).collect();
        pdf.object(1, b"<< /Type /Catalog /Pages 2 0 R >>");
        pdf.object(2, format!("<< /Type /Pages /Kids [{}] /Count {count} >>", kids.join(" ")).as_bytes());
        pdf.object(3, b"<< /Type /Font /Subtype /Type1 /BaseFont /Courier >>");
        for (n, lines) in pages.iter().enumerate() {
            let page = format!(
                "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Resources << /Font << /F1 3 0 R >> >> \
                 /Contents {} 0 R >>",
                5 + 2 * n
            );
            let mut content = Zeroizing::new(Vec::with_capacity(64 + 2 * self.text.len() + 8 * lines.len()));
            content.extend_from_slice(b"BT /F1 10 Tf 12 TL 40 800 Td\n");
            for line in lines {
                content.push(b'(');
                for c in line.iter().filter(|c| (0x20..0x7F).contains(*c)) {
                    if matches!(c, b'(' | b')' | b'\\') {
                        content.push(b'\\');
                    }
                    content.push(*c);
                }
                content.extend_from_slice(b") Tj T*\n");
            }
            content.extend_from_slice(b"ET");
            pdf.object(4 + 2 * n, page.as_bytes());
            pdf.stream(5 + 2 * n, &content);
        }
        pdf.finish()
    }
}

/// A PDF file in the making.
struct Pdf {
    out: Zeroizing<Vec<u8>>,
    offsets: Vec<usize>,
}

impl Default for Pdf {
    fn default() -> Self {
        Self { out: Zeroizing::new(b"%PDF-1.4\n".to_vec()), offsets: Vec::new() }
    }
}

impl Pdf {
    fn object(&mut self, number: usize, body: &[u8]) {
        self.offsets.push(self.out.len());
        self.out.extend_from_slice(format!("{number} 0 obj\n").as_bytes());
        self.out.extend_from_slice(body);
        self.out.extend_from_slice(b"\nendobj\n");
    }

    fn stream(&mut self, number: usize, content: &[u8]) {
        let mut body = Zeroizing::new(format!("<< /Length {} >>\nstream\n", content.len()).into_bytes());
        body.extend_from_slice(content);
        body.extend_from_slice(b"\nendstream");
        self.object(number, &body);
    }

    fn finish(mut self) -> Zeroizing<Vec<u8>> {
        let (start, count) = (self.out.len(), self.offsets.len() + 1);
        self.out.extend_from_slice(format!("xref\n0 {count}\n0000000000 65535 f \n").as_bytes());
        for offset in &self.offsets {
            self.out.extend_from_slice(format!("{offset:010} 00000 n \n").as_bytes());
        }
        let end = format!("trailer\n<< /Size {count} /Root 1 0 R >>\nstartxref\n{start}\n%%EOF\n");
        self.out.extend_from_slice(end.as_bytes());
        self.out
    }
}

/// Where documents go.
pub trait PrintSink: Send {
    /// Takes a document.
    ///
    /// # Errors
    /// Whatever keeps it from being printed. The host is told that the printer is not ready.
    fn print(&mut self, document: Document) -> io::Result<()>;
}

/// A printer whose documents stay in memory, for tests and embedders.
#[derive(Debug, Clone, Default)]
pub struct MemoryPrinter {
    documents: Arc<Mutex<Vec<Document>>>,
}

impl MemoryPrinter {
    /// Takes what has been printed so far.
    #[must_use]
    pub fn take(&self) -> Vec<Document> {
        std::mem::take(&mut self.documents.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl PrintSink for MemoryPrinter {
    fn print(&mut self, document: Document) -> io::Result<()> {
        self.documents.lock().unwrap_or_else(PoisonError::into_inner).push(document);
        Ok(())
    }
}

/// What a file of a printed document is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DocumentForm {
    /// Text as the printer would get it, escape sequences included.
    #[default]
    Text,
    /// PDF.
    Pdf,
}

/// A printer that writes each document to a file of its own, readable by its owner only.
#[derive(Debug, Clone)]
pub struct DirectoryPrinter {
    directory: PathBuf,
    form: DocumentForm,
}

impl DirectoryPrinter {
    /// A printer into a directory, which is made if it does not exist.
    #[must_use]
    pub fn new(directory: impl Into<PathBuf>, form: DocumentForm) -> Self {
        Self { directory: directory.into(), form }
    }
}

impl PrintSink for DirectoryPrinter {
    fn print(&mut self, document: Document) -> io::Result<()> {
        fs::create_dir_all(&self.directory)?;
        let (extension, pdf) = match self.form {
            DocumentForm::Text => ("txt", None),
            DocumentForm::Pdf => ("pdf", Some(document.to_pdf())),
        };
        let content = pdf.as_ref().map_or(document.text(), |pdf| pdf.as_slice());
        // Numbers start again with each module; what is there is not overwritten.
        for attempt in 0..10_000u32 {
            let suffix = if attempt == 0 { String::new() } else { format!(".{attempt}") };
            let path = self.directory.join(format!("{}{suffix}.{extension}", document.name()));
            match open(OpenOptions::new().write(true).create_new(true), &path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                opened => return opened?.write_all(content),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }
}

/// A printer that appends the text of all documents to one file, readable by its owner only.
#[derive(Debug, Clone)]
pub struct FilePrinter {
    path: PathBuf,
}

impl FilePrinter {
    /// A printer into a file, which is made if it does not exist.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }
}

impl PrintSink for FilePrinter {
    fn print(&mut self, document: Document) -> io::Result<()> {
        open(OpenOptions::new().append(true).create(true), &self.path)?.write_all(document.text())
    }
}

fn open(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options.open(path)
}

/// A symbol or constant of a print format.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Symbol {
    LineFeed,
    FormFeed,
    Column(usize),
    Field(usize),
    /// `^P`, `^Q`, `^R`.
    Part(usize),
    /// `^T`.
    Check,
    /// `^V`, `^W`: a PIN in words.
    Words(usize),
    Escape(Vec<u8>),
    Constant(u8),
}

/// Text that is no print format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// A symbol at this offset does not exist.
    #[error("there is no print symbol like that at offset {0}")]
    Symbol(usize),
    /// More than [`MAX_SYMBOLS`].
    #[error("a print format has at most {MAX_SYMBOLS} symbols and constants")]
    TooLong,
}

/// A print format as PA and PC load it.
///
/// `>L` line feed, `>F` form feed, `>nnn` column (three digits, 001 the first), `^0` to `^F` print field, `^P` PIN of the first
/// mailer, or clear key or component, `^Q` PIN of the second mailer or second part of a split key, `^R` third part of
/// a split key or reference number of a solicitation, `^T` check value, `^V` and `^W` the two PINs in words, `|` with
/// a hexadecimal length and that many bytes in hexadecimal an escape sequence. Anything else prints as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PrintFormat {
    text: Vec<u8>,
    symbols: Vec<Symbol>,
    /// Whether the text ends with a whole symbol.
    whole: bool,
}

impl PrintFormat {
    /// Reads a format.
    ///
    /// # Errors
    /// [`FormatError`]. A symbol that the text ends in the middle of is no error: PC may bring the rest.
    pub fn parse(text: &[u8]) -> Result<Self, FormatError> {
        let (mut symbols, mut at) = (Vec::new(), 0);
        while let Some((symbol, len)) = symbol(text.get(at..).unwrap_or_default()).ok_or(FormatError::Symbol(at))? {
            symbols.push(symbol);
            at += len;
            if symbols.len() > MAX_SYMBOLS {
                return Err(FormatError::TooLong);
            }
        }
        Ok(Self { text: text.to_vec(), symbols, whole: at == text.len() })
    }

    /// Whether the format is finished: its text does not end in the middle of a symbol.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.whole
    }

    /// The format with further text.
    ///
    /// # Errors
    /// As [`PrintFormat::parse`].
    pub fn extended(&self, text: &[u8]) -> Result<Self, FormatError> {
        Self::parse(&[self.text.as_slice(), text].concat())
    }

    /// A document in this format.
    #[must_use]
    pub fn render(&self, values: &PrintValues<'_>) -> Zeroizing<Vec<u8>> {
        let mut page = Page::new(8192 + values.fields.iter().map(|field| field.len()).sum::<usize>());
        for symbol in &self.symbols {
            match symbol {
                Symbol::LineFeed => page.end_line(b'\n'),
                Symbol::FormFeed => page.end_line(0x0C),
                Symbol::Column(column) => page.column = column.saturating_sub(1),
                Symbol::Field(n) => page.put(values.fields.get(*n).copied().unwrap_or_default()),
                Symbol::Part(n) => page.put(values.parts.get(*n).map_or(&[][..], |part| part)),
                Symbol::Check => page.put(&values.check),
                Symbol::Words(n) => page.put(values.words.get(*n).map_or(&[][..], |words| words)),
                Symbol::Escape(bytes) => page.escape(bytes),
                Symbol::Constant(c) => page.put(&[*c]),
            }
        }
        page.finish()
    }
}

/// What the symbols of a format stand for in one document. What is missing prints as nothing.
#[derive(Default)]
pub struct PrintValues<'a> {
    /// Print fields.
    pub fields: Vec<&'a [u8]>,
    /// `^P`, `^Q`, `^R`.
    pub parts: [Zeroizing<Vec<u8>>; 3],
    /// `^V`, `^W`.
    pub words: [Zeroizing<Vec<u8>>; 2],
    /// `^T`.
    pub check: Vec<u8>,
}

impl core::fmt::Debug for PrintValues<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "PrintValues {{ {} fields }}", self.fields.len())
    }
}

/// The symbol that text begins with, and its length. `Some(None)` at the end of the text, also in the middle of a symbol.
#[allow(clippy::option_option, reason = "no symbol, the end, or a symbol and its length")]
fn symbol(text: &[u8]) -> Option<Option<(Symbol, usize)>> {
    Some(Some(match text {
        [] | [b'>' | b'^' | b'|'] | [b'>', b'0'..=b'9'] | [b'>', b'0'..=b'9', b'0'..=b'9'] => return Some(None),
        [b'>', b'L', ..] => (Symbol::LineFeed, 2),
        [b'>', b'F', ..] => (Symbol::FormFeed, 2),
        [b'>', digits @ ..] => {
            let digits = digits.first_chunk::<3>().filter(|d| d.iter().all(u8::is_ascii_digit))?;
            (Symbol::Column(digits.iter().fold(0, |n, d| 10 * n + usize::from(d - b'0'))), 4)
        }
        [b'^', c @ (b'0'..=b'9' | b'A'..=b'F'), ..] => (Symbol::Field(value(*c)?), 2),
        [b'^', c @ b'P'..=b'R', ..] => (Symbol::Part(usize::from(c - b'P')), 2),
        [b'^', b'T', ..] => (Symbol::Check, 2),
        [b'^', c @ (b'V' | b'W'), ..] => (Symbol::Words(usize::from(c - b'V')), 2),
        [b'^', ..] => return None,
        [b'|', len, rest @ ..] => {
            let len = value(*len).filter(|len| *len > 0)?;
            match rest.get(..2 * len) {
                Some(digits) => (Symbol::Escape(crate::hex::decode(digits)?.to_vec()), 2 + 2 * len),
                None if rest.iter().all(u8::is_ascii_hexdigit) => return Some(None),
                None => return None,
            }
        }
        [c, ..] => (Symbol::Constant(*c), 1),
    }))
}

fn value(digit: u8) -> Option<usize> {
    char::from(digit).to_digit(16).map(|n| n as usize)
}

/// A line that is filled by columns, and the lines before it. Buffers are made large enough at once: a buffer that moves leaves
/// a copy behind.
struct Page {
    out: Zeroizing<Vec<u8>>,
    line: Zeroizing<Vec<u8>>,
    /// Column of the first character of `line`: 0, or where the last escape sequence went out.
    start: usize,
    column: usize,
}

impl Page {
    fn new(capacity: usize) -> Self {
        let buffer = |len| Zeroizing::new(Vec::with_capacity(len));
        Self { out: buffer(capacity), line: buffer(MAX_COLUMN + 1), start: 0, column: 0 }
    }

    fn put(&mut self, text: &[u8]) {
        for c in text {
            if self.fill() {
                let at = self.column - self.start;
                match self.line.get_mut(at) {
                    Some(place) => *place = *c,
                    None => self.line.push(*c),
                }
            }
            self.column += 1;
        }
    }

    /// Goes to the column, as far as that is possible, and fills the line up to it.
    fn fill(&mut self) -> bool {
        self.column = self.column.max(self.start);
        let at = self.column - self.start;
        if self.column < MAX_COLUMN && self.line.len() < at {
            self.line.resize(at, b' ');
        }
        self.column < MAX_COLUMN
    }

    /// An escape sequence goes out where it stands and takes no column. There is no way back to columns before it.
    fn escape(&mut self, bytes: &[u8]) {
        self.fill();
        self.out.extend_from_slice(&self.line);
        self.out.extend_from_slice(bytes);
        self.line.clear();
        self.start = self.column;
    }

    fn end_line(&mut self, end: u8) {
        self.out.extend_from_slice(&self.line);
        self.out.push(end);
        self.line.clear();
        (self.start, self.column) = (0, 0);
    }

    fn finish(mut self) -> Zeroizing<Vec<u8>> {
        self.out.extend_from_slice(&self.line);
        self.out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn render(format: &str, fields: &[&str], parts: &[&str]) -> String {
        let mut values =
            PrintValues { fields: fields.iter().map(|f| f.as_bytes()).collect(), ..PrintValues::default() };
        for (to, from) in values.parts.iter_mut().zip(parts) {
            *to = Zeroizing::new(from.as_bytes().to_vec());
        }
        String::from_utf8(PrintFormat::parse(format.as_bytes()).unwrap().render(&values).to_vec()).unwrap()
    }

    #[test]
    fn documented_forms_come_out_in_their_columns() {
        let one_up = ">L>013^0>L>013^1>041^P>L>F";
        let shown = render(one_up, &["M DUPONT", "1 RUE X"], &["1234"]);
        assert_eq!(shown, format!("\n{0:12}M DUPONT\n{0:12}1 RUE X{0:21}1234\n\x0C", ""));
        let two_up = ">L>003^0>033^4>L>003^1>023^P>033^5>053^Q>L>F";
        let shown = render(two_up, &["A", "B", "", "", "C", "D"], &["1234", "98765"]);
        assert_eq!(shown, format!("\n{0:2}A{0:29}C\n{0:2}B{0:19}1234{0:6}D{0:19}98765\n\x0C", ""));
    }

    #[test]
    fn symbols_are_checked_and_may_be_continued() {
        for bad in [">X", ">0X", ">00L", "^G", "^U", "|0", "|G", "|2GG"] {
            assert!(matches!(PrintFormat::parse(bad.as_bytes()), Err(FormatError::Symbol(0))), "{bad}");
        }
        for (first, then) in [(">", "L"), (">0", "13^0"), ("A^", "P"), ("|21", "B31"), ("|", "11B")] {
            let whole = PrintFormat::parse(format!("{first}{then}").as_bytes()).unwrap();
            let parts = PrintFormat::parse(first.as_bytes()).unwrap().extended(then.as_bytes()).unwrap();
            assert_eq!(whole, parts, "{first} {then}");
            assert!(whole.is_whole() && !PrintFormat::parse(first.as_bytes()).unwrap().is_whole(), "{first}");
            assert!(!whole.symbols.is_empty());
        }
        assert!(PrintFormat::parse(&[b'A'; MAX_SYMBOLS]).is_ok());
        assert_eq!(PrintFormat::parse(&[b'A'; MAX_SYMBOLS + 1]), Err(FormatError::TooLong));
    }

    #[test]
    fn escapes_take_no_column_and_later_text_overprints() {
        assert_eq!(render("AB|21B31CD>005E", &[], &[]), "AB\x1B1CDE");
        assert_eq!(render(">004|11B>002X", &[], &[]), "   \x1BX");
        assert_eq!(render("ABCDEF>002xy", &[], &[]), "AxyDEF");
        assert_eq!(render("A>999B", &[], &[]), "A");
    }

    #[test]
    fn a_pdf_has_a_page_for_each_form() {
        let text = Zeroizing::new(b"one (1)\nPIN \\ 1234\n\x0Ctwo\x1B1\x0C".to_vec());
        let document = Document::new(7, *b"PE", text);
        assert_eq!(document.name(), "000007-PE");
        assert!(!format!("{document:?}").contains("1234"));
        let pdf = String::from_utf8(document.to_pdf().to_vec()).unwrap();
        assert!(pdf.starts_with("%PDF-1.4\n") && pdf.ends_with("%%EOF\n"));
        assert!(pdf.contains("/Count 2"));
        assert!(pdf.contains("(one \\(1\\)) Tj") && pdf.contains("(PIN \\\\ 1234) Tj") && pdf.contains("(two1) Tj"));
        let start: usize = pdf.rsplit("startxref\n").next().unwrap().lines().next().unwrap().parse().unwrap();
        assert!(pdf[start..].starts_with("xref\n0 8\n"));
        for (n, entry) in pdf[start..].lines().skip(3).take(7).enumerate() {
            let offset: usize = entry[..10].parse().unwrap();
            assert!(pdf[offset..].starts_with(&format!("{} 0 obj", n + 1)), "{entry}");
        }
    }

    #[test]
    fn files_are_their_owners_and_never_overwritten() {
        let dir = std::env::temp_dir().join(format!("hsm-printer-{}", std::process::id()));
        let document = || Document::new(1, *b"A2", Zeroizing::new(b"CLEAR".to_vec()));
        let mut printer = DirectoryPrinter::new(dir.join("out"), DocumentForm::Text);
        printer.print(document()).unwrap();
        printer.print(document()).unwrap();
        DirectoryPrinter::new(dir.join("out"), DocumentForm::Pdf).print(document()).unwrap();
        let mut names: Vec<_> =
            fs::read_dir(dir.join("out")).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        assert_eq!(names, ["000001-A2.1.txt", "000001-A2.pdf", "000001-A2.txt"]);
        let path = dir.join("all.txt");
        let mut printer = FilePrinter::new(&path);
        printer.print(document()).unwrap();
        printer.print(document()).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"CLEARCLEAR");
        #[cfg(unix)]
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&path).unwrap().permissions()) & 0o777, 0o600);
        fs::remove_dir_all(&dir).unwrap();
    }

    proptest! {
        #[test]
        fn formats_are_total(text: Vec<u8>, symbols in "([>^|][0-9A-Z]{0,3}|.){0,40}", field: Vec<u8>) {
            for text in [text.as_slice(), symbols.as_bytes()] {
                if let Ok(format) = PrintFormat::parse(text) {
                    let values = PrintValues { fields: vec![&field; 3], ..PrintValues::default() };
                    let text = format.render(&values);
                    let _ = Document::new(1, *b"PE", text).to_pdf();
                }
            }
        }
    }
}
