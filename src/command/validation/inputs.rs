//! What there is to judge: files, folders, patterns, standard input, streams of lines, packed or not; one item a resource, in a fixed order.

mod document;

pub use document::{FILE_BYTES_MAX, VALUES_MAX, definition};

use crate::command::named;
use document::{ROOM, Values, whole};
use flate2::read::MultiGzDecoder;
use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// The longest line of a stream.
pub const LINE_BYTES_MAX: u64 = 256 << 20;
/// How deep folders are followed.
const FOLDER_DEPTH_MAX: usize = 32;
/// Endings that say that a file holds resources.
const ENDINGS: [&str; 6] = [".json", ".xml", ".ndjson", ".json.gz", ".xml.gz", ".ndjson.gz"];

/// One document to judge.
#[derive(Debug)]
pub struct Item {
    pub file: String,
    /// The line of a stream, from one.
    pub line: Option<u64>,
    pub is_xml: bool,
    pub content: Content,
}

/// What was read of a document.
#[derive(Debug)]
pub enum Content {
    Bytes(Vec<u8>),
    /// It is longer than is read.
    TooLong,
    /// It could not be read, to its end or at all.
    Unreadable(Unreadable),
}

/// Why a document could not be read.
#[derive(Debug)]
pub struct Unreadable {
    /// Whether what it is packed in is broken, which is the document's own; anything else may be read another time.
    pub is_broken: bool,
    pub problem: String,
}

impl From<io::Error> for Unreadable {
    fn from(error: io::Error) -> Unreadable {
        let is_broken = matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::UnexpectedEof);
        Unreadable { is_broken, problem: error.to_string() }
    }
}

/// Why there is nothing to read.
#[derive(Debug)]
pub struct InputError {
    /// Whether the name on the command line is wrong, rather than reading it failed.
    pub is_usage: bool,
    pub text: String,
}

impl InputError {
    fn new(is_usage: bool, path: &Path, problem: impl std::fmt::Display) -> InputError {
        InputError { is_usage, text: format!("{}: {problem}", path.display()) }
    }
}

/// The files that names stand for: themselves, all below a folder, all that match a pattern; each once, in the order of their names.
pub fn files(names: &[PathBuf]) -> Result<Vec<PathBuf>, InputError> {
    let mut found = Vec::new();
    for name in names {
        let text = name.to_string_lossy();
        if name.is_dir() {
            let below = sorted_below(name, "**")?;
            if below.is_empty() {
                return Err(InputError::new(true, name, "holds nothing to validate"));
            }
            found.extend(below);
        } else if text == "-" || name.exists() {
            // A pipe that a shell made is as good as a file.
            named::check(name).map_err(|error| InputError::new(true, name, error))?;
            found.push(name.clone());
        } else if text.contains(['*', '?']) {
            let (folder, pattern) = split_pattern(&text);
            let folder = Path::new(folder);
            let matching = if folder.is_dir() { sorted_below(folder, pattern)? } else { Vec::new() };
            if matching.is_empty() {
                return Err(InputError::new(true, name, "matches nothing"));
            }
            found.extend(matching);
        } else {
            return Err(InputError::new(true, name, "there is no such file or folder"));
        }
    }
    let mut seen = std::collections::HashSet::new();
    found.retain(|file| seen.insert(file.clone()));
    Ok(found)
}

/// A pattern's fixed beginning, and the rest.
fn split_pattern(text: &str) -> (&str, &str) {
    let wild = text.find(['*', '?']).unwrap_or(text.len());
    match text.get(..wild).and_then(|fixed| fixed.rfind('/')) {
        Some(0) => ("/", text.get(1..).unwrap_or_default()),
        Some(end) => (text.get(..end).unwrap_or_default(), text.get(end + 1..).unwrap_or_default()),
        None => (".", text),
    }
}

fn sorted_below(folder: &Path, pattern: &str) -> Result<Vec<PathBuf>, InputError> {
    let (mut found, mut pending) = (Vec::new(), vec![(folder.to_owned(), String::new(), 0)]);
    while let Some((folder, prefix, depth)) = pending.pop() {
        let failed = |error: io::Error| InputError::new(false, &folder, error);
        for entry in std::fs::read_dir(&folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let below = if prefix.is_empty() { name.clone() } else { format!("{prefix}/{name}") };
            if name.starts_with('.') {
                continue;
            }
            if entry.path().is_dir() {
                if depth < FOLDER_DEPTH_MAX {
                    pending.push((entry.path(), below, depth + 1));
                }
            } else if (pattern != "**" || ENDINGS.iter().any(|ending| name.ends_with(ending)) && name != "package.json")
                && matches(pattern, &below)
            {
                // Nobody may ever write to a pipe that lies about; one that is named is meant.
                if entry.path().metadata().is_ok_and(|found| !found.is_file()) {
                    remark!("hearthgate: {}: is no file, and was passed over", entry.path().display());
                } else {
                    found.push(entry.path());
                }
            }
        }
    }
    found.sort();
    Ok(found)
}

/// `*` stands for anything within a name, `**` for anything, `?` for one character. Takes time in proportion to the product of the lengths.
fn matches(pattern: &str, text: &str) -> bool {
    let letters: Vec<char> = text.chars().collect();
    // Whether the part of the pattern read so far matches the first so many letters.
    let mut reached = vec![false; letters.len() + 1];
    if let Some(first) = reached.first_mut() {
        *first = true;
    }
    // `**/` also stands for nothing.
    let pattern = pattern.replace("**/", "\0").replace("**", "\0");
    for symbol in pattern.chars() {
        let mut next = Vec::with_capacity(reached.len());
        next.push(matches!(symbol, '*' | '\0') && reached.first() == Some(&true));
        for ((&before, &here), &letter) in reached.iter().zip(reached.iter().skip(1)).zip(&letters) {
            let longer = next.last() == Some(&true);
            next.push(match symbol {
                '\0' => here || longer,
                '*' => here || (longer && letter != '/'),
                '?' => before && letter != '/',
                symbol => before && letter == symbol,
            });
        }
        reached = next;
    }
    reached.last() == Some(&true)
}

/// Reads items from files, one after another.
pub struct Items {
    files: VecDeque<PathBuf>,
    stream: Option<Stream>,
}

struct Stream {
    file: String,
    reader: Box<dyn BufRead + Send>,
    line: u64,
}

impl Items {
    pub fn of(files: Vec<PathBuf>) -> Items {
        Items { files: files.into(), stream: None }
    }

    fn next_line(&mut self) -> Option<Item> {
        loop {
            let stream = self.stream.as_mut()?;
            let mut bytes = Vec::new();
            let read = (&mut stream.reader).take(LINE_BYTES_MAX).read_until(b'\n', &mut bytes);
            stream.line += 1;
            let item = |content| Item { file: stream.file.clone(), line: Some(stream.line), is_xml: false, content };
            // Where the next line begins is not known behind what cannot be read and what is not read, so the rest of the stream is left.
            let last = match read {
                Err(error) => item(Content::Unreadable(error.into())),
                Ok(_) if bytes.len() as u64 == LINE_BYTES_MAX && bytes.last() != Some(&b'\n') => item(Content::TooLong),
                Ok(0) => {
                    self.stream = None;
                    return None;
                }
                Ok(_) if bytes.trim_ascii().is_empty() => continue,
                Ok(_) if Values::of(false).count(&bytes) > VALUES_MAX => return Some(item(Content::TooLong)),
                Ok(_) => return Some(item(Content::Bytes(bytes))),
            };
            self.stream = None;
            return Some(last);
        }
    }

    /// The one document of a file; none for a stream, whose lines come next.
    fn open(&mut self, path: &Path) -> Option<Item> {
        let file = path.to_string_lossy().into_owned();
        let is_xml = file.trim_end_matches(".gz").ends_with(".xml");
        match self.read(path, &file) {
            Ok(content) => content.map(|content| Item { file, line: None, is_xml, content }),
            Err(error) => Some(Item { file, line: None, is_xml, content: Content::Unreadable(error.into()) }),
        }
    }

    fn read(&mut self, path: &Path, name: &str) -> io::Result<Option<Content>> {
        if name == "-" {
            let reader = unpacked(BufReader::new(io::stdin()))?;
            self.stream = Some(Stream { file: name.to_owned(), reader, line: 0 });
            return Ok(None);
        }
        let file = named::open(path)?;
        let (plain, reader): (&str, Box<dyn Read + Send>) = match name.strip_suffix(".gz") {
            Some(plain) => (plain, Box::new(MultiGzDecoder::new(BufReader::new(file)))),
            None => (name, Box::new(file)),
        };
        if plain.ends_with(".ndjson") {
            let reader = Box::new(BufReader::with_capacity(1 << 16, reader));
            self.stream = Some(Stream { file: name.to_owned(), reader, line: 0 });
            return Ok(None);
        }
        whole(reader, plain.ends_with(".xml"), ROOM).map(Some)
    }
}

/// Unpacks what begins as gzip does (<https://www.rfc-editor.org/rfc/rfc1952#section-2.3.1>); a stream has no name that would say it. No resource
/// begins so.
fn unpacked(mut stream: impl BufRead + Send + 'static) -> io::Result<Box<dyn BufRead + Send>> {
    let is_packed = stream.fill_buf()?.starts_with(&[0x1f, 0x8b]);
    Ok(if is_packed { Box::new(BufReader::new(MultiGzDecoder::new(stream))) } else { Box::new(stream) })
}

impl Iterator for Items {
    type Item = Item;

    fn next(&mut self) -> Option<Item> {
        loop {
            if let Some(item) = self.next_line() {
                return Some(item);
            }
            let path = self.files.pop_front()?;
            if let Some(item) = self.open(&path) {
                return Some(item);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use std::io::Write;

    #[test]
    fn patterns() {
        for (pattern, text, expected) in [
            ("*.json", "a.json", true),
            ("*.json", "b/a.json", false),
            ("**/*.json", "a.json", true),
            ("**/*.json", "b/c/a.json", true),
            ("**", "b/c/a.json", true),
            ("b/*.js?n", "b/a.json", true),
            ("b/*.js?n", "b/a.jsn", false),
            ("*a*a*a*a*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
        assert_eq!(split_pattern("/a/b/*.json"), ("/a/b", "*.json"));
        assert_eq!(split_pattern("*.json"), (".", "*.json"));
        assert_eq!(split_pattern("/*.json"), ("/", "*.json"));
    }

    #[test]
    fn every_kind_of_input() {
        let root = std::env::temp_dir().join(format!("hearthgate-inputs-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&root);
        std::fs::create_dir_all(root.join("below")).unwrap();
        let write = |name: &str, bytes: &[u8]| std::fs::write(root.join(name), bytes).unwrap();
        let packed = |bytes: &[u8]| {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        };
        assert!(files(std::slice::from_ref(&root)).is_err_and(|error| error.is_usage));
        write("b.json", b"{}");
        write("below/a.xml", b"<a/>");
        write("c.ndjson", b"{}\n\n{}\n");
        write("d.ndjson.gz", &packed(b"{}\n{}"));
        write("package.json", b"{}");
        write("note.txt", b"x");
        write("broken.json.gz", b"x");
        let found = files(std::slice::from_ref(&root)).unwrap();
        let names: Vec<String> = found.iter().map(|file| file.strip_prefix(&root).unwrap().to_string_lossy().into_owned()).collect();
        assert_eq!(names, ["b.json", "below/a.xml", "broken.json.gz", "c.ndjson", "d.ndjson.gz"]);
        let shape = |names: Vec<PathBuf>| -> Vec<(Option<u64>, bool, bool)> {
            Items::of(names).map(|item| (item.line, item.is_xml, matches!(item.content, Content::Bytes(_)))).collect()
        };
        let expected = [
            (None, false, true),
            (None, true, true),
            (None, false, false),
            (Some(1), false, true),
            (Some(3), false, true),
            (Some(1), false, true),
            (Some(2), false, true),
        ];
        assert_eq!(shape(found), expected);
        // A stream that breaks off: the lines before are there, the one that is not whole is said not to be, and the next file is read.
        let text: String = (0..20_000).map(|at| format!("{{\"id\": \"{}\"}}\n", at * 7919 % 10_007)).collect();
        let whole = packed(text.as_bytes());
        write("cut.ndjson.gz", &whole[..whole.len() / 2]);
        let cut = shape(vec![root.join("cut.ndjson.gz"), root.join("gone.json"), root.join("b.json")]);
        let (lines, rest) = cut.split_at(cut.len() - 3);
        assert!(lines.len() > 1 && lines.iter().all(|one| one.2), "{}", lines.len());
        assert_eq!(rest, [(Some(lines.len() as u64 + 1), false, false), (None, false, false), (None, false, true)]);
        for stream in [b"{}\n".to_vec(), packed(b"{}\n")] {
            let mut line = String::new();
            unpacked(io::Cursor::new(stream)).unwrap().read_line(&mut line).unwrap();
            assert_eq!(line, "{}\n");
        }
        assert!(definition(&root.join("b.json")).is_ok_and(|bytes| bytes == b"{}"));
        let pipe = root.join("pipe.json");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        assert!(definition(&pipe).is_err_and(|error| error.text.contains("named pipe")));
        assert!(files(std::slice::from_ref(&pipe)).is_err_and(|error| error.is_usage && error.text.contains("named pipe")));
        std::fs::remove_file(&pipe).unwrap();
        assert!(files(&[root.join("none/*.json")]).is_err_and(|error| error.is_usage));
        assert_eq!(files(&["/dev/null".into()]).unwrap(), [PathBuf::from("/dev/null")]);
        assert!(files(&[root.join("none.json")]).is_err_and(|error| error.is_usage));
        assert!(files(&[root.join("*.none")]).is_err_and(|error| error.is_usage));
        std::fs::remove_dir_all(&root).unwrap();
    }
}
