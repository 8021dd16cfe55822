//! Tiles: where they lie, which of them a tree of some size has, and how hashes and entries are written in them.

use std::fmt;
use std::str::FromStr;

use super::encoding::decimal;
use super::error::{Format, Malformed};
use super::merkle::Hash;

/// Tree levels that one tile spans.
pub const TILE_HEIGHT: u8 = 8;
/// Hashes in a full tile, entries in a full bundle.
pub const TILE_WIDTH: u16 = 1 << TILE_HEIGHT;
/// Bytes of a full tile of hashes.
pub const TILE_BYTES: usize = TILE_WIDTH as usize * Hash::LEN;
/// The highest level that can be written in a path; trees of 64-bit sizes need no more than eight levels.
pub const MAX_LEVEL: u8 = 63;
/// The longest entry, in bytes: its length is written in sixteen bits.
pub const MAX_ENTRY_BYTES: usize = u16::MAX as usize;
/// Bytes of a full bundle of the longest entries.
pub const MAX_BUNDLE_BYTES: usize = TILE_WIDTH as usize * (2 + MAX_ENTRY_BYTES);

/// What a tile holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TileKind {
    /// Hashes of the tree at this tile level; level 0 are the leaves.
    Hashes(u8),
    /// The entries themselves.
    Entries,
}

impl TileKind {
    /// The tile level: entries lie beside the leaves.
    pub fn level(self) -> u8 {
        match self {
            TileKind::Hashes(level) => level,
            TileKind::Entries => 0,
        }
    }
}

/// Where a tile or bundle lies: `tile/<level or entries>/<index>[.p/<width>]`, relative to the log's prefix.
///
/// Written and read with `Display` and `FromStr`; each path has exactly one spelling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TilePath {
    pub kind: TileKind,
    /// Position within the level, from the left.
    pub index: u64,
    /// Hashes or entries in it: 1 to 255 in a partial tile, 256 in a full one.
    pub width: u16,
}

impl TilePath {
    /// The full tile at this place.
    pub fn full(kind: TileKind, index: u64) -> TilePath {
        TilePath { kind, index, width: TILE_WIDTH }
    }

    /// Whether it lacks hashes that a larger tree would put there.
    pub fn is_partial(self) -> bool {
        self.width < TILE_WIDTH
    }

    /// The full tile that one day stands where this one does.
    pub fn to_full(self) -> TilePath {
        TilePath { width: TILE_WIDTH, ..self }
    }

    /// Whether a tree of `size` leaves has this tile, with at least this width.
    pub fn exists_at(self, size: u64) -> bool {
        let full = full_tiles(self.kind.level(), size);
        self.index < full || (self.index == full && self.width <= partial_width(self.kind.level(), size))
    }

    /// The directory that holds the partial tiles at this place.
    pub fn partial_directory(self) -> String {
        format!("{}.p", self.to_full())
    }
}

impl fmt::Display for TilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            TileKind::Hashes(level) => write!(f, "tile/{level}/")?,
            TileKind::Entries => f.write_str("tile/entries/")?,
        }
        let groups = self.index.checked_ilog(1000).unwrap_or(0);
        for group in (1..=groups).rev() {
            write!(f, "x{:03}/", self.index / 1000u64.pow(group) % 1000)?;
        }
        write!(f, "{:03}", self.index % 1000)?;
        if self.is_partial() { write!(f, ".p/{}", self.width) } else { Ok(()) }
    }
}

impl FromStr for TilePath {
    type Err = Malformed;

    fn from_str(path: &str) -> Result<TilePath, Malformed> {
        let refuse = |rule| Malformed::new(Format::TilePath, rule);
        let rest = path.strip_prefix("tile/").ok_or(refuse("does not begin with tile/"))?;
        let (kind, rest) = rest.split_once('/').ok_or(refuse("has no index"))?;
        let kind = match kind {
            "entries" => TileKind::Entries,
            level => TileKind::Hashes(parse_level(level)?),
        };
        let (index, width) = match rest.split_once(".p/") {
            Some((index, width)) => (index, parse_partial_width(width)?),
            None => (rest, TILE_WIDTH),
        };
        Ok(TilePath { kind, index: parse_index(index)?, width })
    }
}

fn parse_level(text: &str) -> Result<u8, Malformed> {
    let level = decimal(text).filter(|level| *level <= u64::from(MAX_LEVEL));
    level.map(|level| level as u8).ok_or(Malformed::new(Format::TilePath, "the level is not a number from 0 to 63"))
}

fn parse_partial_width(text: &str) -> Result<u16, Malformed> {
    let width = decimal(text).filter(|width| (1..u64::from(TILE_WIDTH)).contains(width));
    width.map(|width| width as u16).ok_or(Malformed::new(Format::TilePath, "the width is not a number from 1 to 255"))
}

fn parse_index(text: &str) -> Result<u64, Malformed> {
    let refuse = |rule| Malformed::new(Format::TilePath, rule);
    let (high, last) = text.rsplit_once('/').map_or((None, text), |(high, last)| (Some(high), last));
    let mut index = 0u64;
    for (position, group) in high.into_iter().flat_map(|high| high.split('/')).enumerate() {
        let group = group.strip_prefix('x').and_then(parse_group).ok_or(refuse("a group of the index is not x and three digits"))?;
        if position == 0 && group == 0 {
            return Err(refuse("the index has a leading group of zeros"));
        }
        index = append_group(index, group).ok_or(refuse("the index is too large"))?;
    }
    let last = parse_group(last).ok_or(refuse("the index does not end in three digits"))?;
    append_group(index, last).ok_or(refuse("the index is too large"))
}

fn parse_group(text: &str) -> Option<u64> {
    let digits = text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

fn append_group(index: u64, group: u64) -> Option<u64> {
    index.checked_mul(1000)?.checked_add(group)
}

/// How many full tiles a tree of `size` leaves has at a tile level.
pub fn full_tiles(level: u8, size: u64) -> u64 {
    hashes_at(level, size) >> TILE_HEIGHT
}

/// How many hashes the partial tile of a tree of `size` leaves has at a tile level; zero means there is none.
pub fn partial_width(level: u8, size: u64) -> u16 {
    (hashes_at(level, size) % u64::from(TILE_WIDTH)) as u16
}

/// How many tile levels a tree of `size` leaves has.
pub fn levels(size: u64) -> u8 {
    size.checked_ilog2().map_or(0, |height| height as u8 / TILE_HEIGHT + 1)
}

/// The partial tiles of hashes, lowest level first, that a tree of `size` leaves has.
pub fn partial_tiles(size: u64) -> impl Iterator<Item = TilePath> {
    let tile = move |level| TilePath { kind: TileKind::Hashes(level), index: full_tiles(level, size), width: partial_width(level, size) };
    (0..levels(size)).map(tile).filter(|tile| tile.width > 0)
}

fn hashes_at(level: u8, size: u64) -> u64 {
    size.checked_shr(u32::from(level) * u32::from(TILE_HEIGHT)).unwrap_or(0)
}

/// A tile's bytes: its hashes one after another.
pub fn encode_hashes(hashes: &[Hash]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| hash.0).collect()
}

/// Reads a tile that must hold exactly `width` hashes.
///
/// # Errors
/// When the length is another.
pub fn decode_hashes(bytes: &[u8], width: u16) -> Result<Vec<Hash>, Malformed> {
    if bytes.len() != usize::from(width) * Hash::LEN {
        return Err(Malformed::new(Format::Tile, "its length is not 32 bytes for each hash it should hold"));
    }
    let (chunks, _) = bytes.as_chunks::<{ Hash::LEN }>();
    Ok(chunks.iter().map(|chunk| Hash(*chunk)).collect())
}

/// Appends one entry to a bundle: its length in sixteen bits, big-endian, and its bytes.
///
/// # Errors
/// When the entry is longer than [`MAX_ENTRY_BYTES`].
pub fn encode_entry(bundle: &mut Vec<u8>, entry: &[u8]) -> Result<(), Malformed> {
    let length = u16::try_from(entry.len()).map_err(|_| Malformed::new(Format::EntryBundle, "an entry is longer than 65,535 bytes"))?;
    bundle.extend_from_slice(&length.to_be_bytes());
    bundle.extend_from_slice(entry);
    Ok(())
}

/// Reads a bundle that must hold exactly `width` entries.
///
/// # Errors
/// When an entry is cut short, or there are more or fewer.
pub fn decode_entries(mut bundle: &[u8], width: u16) -> Result<Vec<&[u8]>, Malformed> {
    let refuse = |rule| Malformed::new(Format::EntryBundle, rule);
    let mut entries = Vec::with_capacity(usize::from(width));
    while let Some((length, rest)) = bundle.split_first_chunk::<2>() {
        if entries.len() == usize::from(width) {
            return Err(refuse("it holds more entries than it should"));
        }
        let (entry, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length))).ok_or(refuse("an entry is cut short"))?;
        entries.push(entry);
        bundle = rest;
    }
    match (bundle.is_empty(), entries.len() == usize::from(width)) {
        (true, true) => Ok(entries),
        (true, false) => Err(refuse("it holds fewer entries than it should")),
        (false, _) => Err(refuse("a length is cut short")),
    }
}
