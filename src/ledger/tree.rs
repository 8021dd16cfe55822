//! The growing tree: its right edge in memory, everything left of it in full tiles elsewhere.

use std::collections::HashMap;
use std::sync::Arc;

use super::error::{Format, LedgerError, Malformed};
use super::merkle::{self, Hash, HashReader, Range};
use super::tile::{self, TILE_HEIGHT, TILE_WIDTH, TileKind, TilePath};

/// Reads full tiles from wherever they are kept.
pub trait TileReader {
    /// The 256 hashes of the full tile at this place, or nothing when it is not there.
    ///
    /// # Errors
    /// When the storage fails or holds something else there.
    fn tile(&self, level: u8, index: u64) -> Result<Option<Vec<Hash>>, LedgerError>;
}

/// A tile that an append completed, to be stored for ever.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FullTile {
    pub level: u8,
    pub index: u64,
    /// Exactly 256.
    pub hashes: Vec<Hash>,
}

impl FullTile {
    /// Where it lies.
    pub fn path(&self) -> TilePath {
        TilePath::full(TileKind::Hashes(self.level), self.index)
    }
}

/// The right edge of a tree: its size, and per level the partial tile with the nodes inside it.
///
/// A clone is a snapshot: it shares the tiles until the original grows, and costs a few reference counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Edge {
    size: u64,
    levels: Vec<Arc<TileNodes>>,
}

impl Edge {
    /// The edge of a tree without leaves.
    pub fn new() -> Edge {
        Edge::default()
    }

    /// The edge of a tree of `size` leaves, from the hashes of its partial tiles: one list per level, lowest first, an empty
    /// list where the level has none. Whether they hash to the right root is for the caller to compare.
    ///
    /// # Errors
    /// When the lists are not as long as this size demands.
    pub fn from_partial_tiles(size: u64, partials: &[Vec<Hash>]) -> Result<Edge, Malformed> {
        let fits = |(level, hashes): (u8, &Vec<Hash>)| hashes.len() == usize::from(tile::partial_width(level, size));
        if partials.len() != usize::from(tile::levels(size)) || !(0u8..).zip(partials).all(fits) {
            return Err(Malformed::new(Format::Tile, "the partial tiles do not make a tree of this size"));
        }
        let levels = partials.iter().map(|hashes| Arc::new(TileNodes::of(hashes).0)).collect();
        Ok(Edge { size, levels })
    }

    /// How many leaves the tree has.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The root of the tree; needs at most one hash per level of the tree.
    #[expect(clippy::expect_used, reason = "every subtree that the root at the edge's own size is made of lies in a partial tile")]
    pub fn root(&self) -> Hash {
        merkle::root(self.size, &mut PartialTiles(self)).expect("the edge holds its own root's subtrees")
    }

    /// Appends a leaf by its hash and gives the tiles this completed, lowest first: usually none, one each 256 leaves.
    #[must_use = "completed tiles leave memory here and must be stored"]
    pub fn append(&mut self, leaf: Hash) -> Vec<FullTile> {
        let mut completed = Vec::new();
        let mut carry = Some(leaf);
        let mut level = 0u8;
        while let Some(hash) = carry {
            if usize::from(level) == self.levels.len() {
                self.levels.push(Arc::default());
            }
            carry = None;
            if let Some(shared) = self.levels.get_mut(usize::from(level)) {
                let nodes = Arc::make_mut(shared);
                carry = nodes.push(hash);
                if carry.is_some() {
                    completed.push(FullTile { level, index: tile::full_tiles(level, self.size), hashes: nodes.take_hashes() });
                }
            }
            level += 1;
        }
        self.size += 1;
        completed
    }

    /// The hashes of the partial tile at a level; empty when there is none.
    pub fn partial_tile(&self, level: u8) -> &[Hash] {
        self.levels.get(usize::from(level)).map_or(&[], |nodes| nodes.hashes())
    }
}

/// Reads subtrees of a tree that has an edge in memory and its full tiles behind a [`TileReader`], for any size up to the edge's.
///
/// A tile counts when the tile above it, or the edge, has its root: every hash given out leads to the root of the edge, whatever became of the
/// storage. Tiles that were met are kept, so that the proofs of one batch share their reads and their hashing. One is made per batch.
pub struct TreeHashes<'a, R: TileReader + ?Sized> {
    edge: &'a Edge,
    tiles: &'a R,
    met: HashMap<(u8, u64), TileNodes>,
    /// The right ends of trees, as they came up in proofs.
    ends: Vec<(Range, Hash)>,
}

/// Full tiles kept per [`TreeHashes`]; 16 KiB each.
const MAX_TILES_KEPT: usize = 256;

/// Right ends kept per [`TreeHashes`]: those of one size.
const MAX_ENDS_KEPT: usize = 64;

impl<'a, R: TileReader + ?Sized> TreeHashes<'a, R> {
    /// Reads the tree with this edge.
    pub fn new(edge: &'a Edge, tiles: &'a R) -> Self {
        TreeHashes { edge, tiles, met: HashMap::new(), ends: Vec::new() }
    }

    /// The root the tree had at a size.
    ///
    /// # Errors
    /// When the size lies beyond the edge, a tile is missing, or the storage fails.
    pub fn root(&mut self, size: u64) -> Result<Hash, LedgerError> {
        merkle::root(size, self)
    }

    /// The proof that leaf `index` is in the tree of `size` leaves.
    ///
    /// # Errors
    /// When the index or the size lies beyond what there is, a tile is missing, or the storage fails.
    pub fn inclusion_proof(&mut self, index: u64, size: u64) -> Result<Vec<Hash>, LedgerError> {
        self.check_reaches(size)?;
        merkle::inclusion_proof(index, size, self)
    }

    /// The proof that the tree of `new_size` leaves extends the one of `old_size` leaves.
    ///
    /// # Errors
    /// When the older size is zero, a size lies beyond what there is, a tile is missing, or the storage fails.
    pub fn consistency_proof(&mut self, old_size: u64, new_size: u64) -> Result<Vec<Hash>, LedgerError> {
        self.check_reaches(new_size)?;
        merkle::consistency_proof(old_size, new_size, self)
    }

    /// The hash of the leaf at `index`.
    ///
    /// # Errors
    /// When the index lies beyond the edge, a tile is missing, or the storage fails.
    pub fn leaf(&mut self, index: u64) -> Result<Hash, LedgerError> {
        self.subtree(0, index)
    }

    /// Whether these are the hashes of the full tile at a place, by the tile above it.
    ///
    /// # Errors
    /// When the tile lies beyond the edge, the one above is missing, or the storage fails.
    pub fn is_tile(&mut self, level: u8, index: u64, hashes: &[Hash]) -> Result<bool, LedgerError> {
        Ok(self.confirmed(level, index, hashes)?.is_some())
    }

    /// The nodes of a full tile, if the tile above has its root.
    fn confirmed(&mut self, level: u8, index: u64, hashes: &[Hash]) -> Result<Option<TileNodes>, LedgerError> {
        let above = self.subtree((level + 1).saturating_mul(tile::TILE_HEIGHT), index)?;
        let (nodes, root) = TileNodes::of(hashes);
        Ok((hashes.len() == usize::from(TILE_WIDTH) && root == Some(above)).then_some(nodes))
    }

    /// A proof can be made of siblings alone, so that it would not notice by itself that its leaf is not there yet.
    fn check_reaches(&self, size: u64) -> Result<(), LedgerError> {
        if size <= self.edge.size { Ok(()) } else { Err(LedgerError::BeyondEdge) }
    }

    fn full_tile(&mut self, level: u8, index: u64) -> Result<&TileNodes, LedgerError> {
        if !self.met.contains_key(&(level, index)) {
            let path = TilePath::full(TileKind::Hashes(level), index);
            let hashes = self.tiles.tile(level, index)?.ok_or_else(|| LedgerError::Missing { path: path.to_string() })?;
            let nodes = self.confirmed(level, index, &hashes)?.ok_or_else(|| {
                let reason = Malformed::new(Format::Tile, "it is not the full tile that the tile above says it is");
                LedgerError::Damaged { path: path.to_string(), reason }
            })?;
            if self.met.len() >= MAX_TILES_KEPT {
                self.met.clear();
            }
            self.met.insert((level, index), nodes);
        }
        self.met.get(&(level, index)).ok_or(LedgerError::BeyondEdge)
    }
}

impl<R: TileReader + ?Sized> HashReader for TreeHashes<'_, R> {
    fn subtree(&mut self, height: u8, index: u64) -> Result<Hash, LedgerError> {
        let place = Place::of(height, index, self.edge.size).ok_or(LedgerError::BeyondEdge)?;
        let node = if place.tile < tile::full_tiles(place.level, self.edge.size) {
            self.full_tile(place.level, place.tile)?.node(place.row, place.column)
        } else {
            self.edge.levels.get(usize::from(place.level)).and_then(|nodes| nodes.node(place.row, place.column))
        };
        node.ok_or(LedgerError::BeyondEdge)
    }

    fn remembered(&self, range: Range) -> Option<Hash> {
        self.ends.iter().find(|(known, _)| *known == range).map(|(_, hash)| *hash)
    }

    fn remember(&mut self, range: Range, hash: Hash) {
        if self.ends.len() < MAX_ENDS_KEPT {
            self.ends.push((range, hash));
        }
    }
}

/// Reads what lies in the partial tiles alone.
struct PartialTiles<'a>(&'a Edge);

impl HashReader for PartialTiles<'_> {
    fn subtree(&mut self, height: u8, index: u64) -> Result<Hash, LedgerError> {
        let place = Place::of(height, index, self.0.size).ok_or(LedgerError::BeyondEdge)?;
        let nodes = self.0.levels.get(usize::from(place.level));
        nodes.and_then(|nodes| nodes.node(place.row, place.column)).ok_or(LedgerError::BeyondEdge)
    }
}

/// Where the root of a complete subtree is found: in which tile, and where inside it.
struct Place {
    level: u8,
    tile: u64,
    row: u8,
    column: u16,
}

impl Place {
    /// Nothing when the subtree is not complete in a tree of `size` leaves.
    fn of(height: u8, index: u64, size: u64) -> Option<Place> {
        if index >= size.checked_shr(u32::from(height))? {
            return None;
        }
        let (level, row) = (height / TILE_HEIGHT, height % TILE_HEIGHT);
        let columns_bits = TILE_HEIGHT - row;
        let column = (index % (1 << columns_bits)) as u16;
        Some(Place { level, tile: index >> columns_bits, row, column })
    }
}

/// The hashes of one growing tile and the nodes above them that are complete, but for the tile's root.
#[derive(Debug, Clone)]
struct TileNodes {
    width: u16,
    /// Row by row: 256 places for the hashes, 128 for their parents, and so on to 2.
    nodes: Vec<Hash>,
}

/// Places of all rows below a tile's root.
const TILE_NODES: usize = 2 * TILE_WIDTH as usize - 2;

impl PartialEq for TileNodes {
    /// The nodes follow from the hashes, and beyond the width lie remains of the tile before.
    fn eq(&self, other: &TileNodes) -> bool {
        self.hashes() == other.hashes()
    }
}

impl Eq for TileNodes {}

impl Default for TileNodes {
    fn default() -> TileNodes {
        TileNodes { width: 0, nodes: vec![Hash::default(); TILE_NODES] }
    }
}

impl TileNodes {
    /// The tile with these hashes, and its root when it is full.
    fn of(hashes: &[Hash]) -> (TileNodes, Option<Hash>) {
        let (mut tile, mut root) = (TileNodes::default(), None);
        for hash in hashes.iter().take(usize::from(TILE_WIDTH)) {
            root = tile.push(*hash);
        }
        (tile, root)
    }

    /// Adds a hash and every node it completes; gives the tile's root when the tile is full.
    fn push(&mut self, hash: Hash) -> Option<Hash> {
        let mut node = hash;
        let mut column = self.width;
        self.width += 1;
        for row in 0..TILE_HEIGHT {
            *self.nodes.get_mut(Self::slot(row, column))? = node;
            if column & 1 == 0 {
                return None;
            }
            let left = self.nodes.get(Self::slot(row, column - 1))?;
            node = merkle::node_hash(left, &node);
            column >>= 1;
        }
        Some(node)
    }

    /// The node at a row (0 are the tile's own hashes) and column, once it is complete.
    fn node(&self, row: u8, column: u16) -> Option<Hash> {
        let complete = column < self.width >> row;
        if complete { self.nodes.get(Self::slot(row, column)).copied() } else { None }
    }

    fn hashes(&self) -> &[Hash] {
        self.nodes.get(..usize::from(self.width)).unwrap_or(&[])
    }

    /// Gives the hashes away and begins anew.
    fn take_hashes(&mut self) -> Vec<Hash> {
        let hashes = self.hashes().to_vec();
        self.width = 0;
        hashes
    }

    fn slot(row: u8, column: u16) -> usize {
        let places = 2 * usize::from(TILE_WIDTH);
        places - (places >> row) + usize::from(column)
    }
}
