//! The tree of RFC 6962 as its right edge, cut into tiles of 256 hashes (C2SP tlog-tiles); proofs, and how they are checked.
//!
//! It knows hashes and positions; what a leaf says is `leaf.rs`. Tiles that are full are handed out once and never wanted
//! again, so that a tree of any size takes at most 64 KB.

use std::fmt;

use sha2::{Digest, Sha256};

use crate::leaf::ENTRY_BYTES;

/// SHA-256.
pub type Hash = [u8; 32];

/// Hashes in a full tile.
pub const TILE: u64 = 256;
const TILE_HEIGHT: u32 = 8;
/// Hashes in a proof at most: a tree has less than 2^64 leaves.
pub const PROOF_HASHES: usize = 64;

/// The root of a tree without leaves.
#[must_use]
pub fn empty_root() -> Hash {
    Sha256::digest([]).into()
}

/// What stands for a leaf in the tree.
#[must_use]
pub fn leaf_hash(entry: &[u8]) -> Hash {
    // In one piece wherever it is an entry as the log writes them: pieces are put together byte by byte.
    let mut bytes = [0_u8; 1 + ENTRY_BYTES];
    match bytes.get_mut(1..=entry.len()) {
        Some(rest) => {
            rest.copy_from_slice(entry);
            Sha256::digest(bytes.get(..=entry.len()).unwrap_or_default()).into()
        }
        None => Sha256::new().chain_update([0]).chain_update(entry).finalize().into(),
    }
}

/// What stands for two neighbours.
#[must_use]
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let mut bytes = [0_u8; 65];
    bytes[0] = 1;
    bytes[1..33].copy_from_slice(left);
    bytes[33..].copy_from_slice(right);
    Sha256::digest(bytes).into()
}

/// A tile's place, and how many hashes it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tile {
    /// 0 for hashes of leaves; each level stands for 256 of the one below.
    pub level: u8,
    /// From the left, from 0.
    pub index: u64,
    /// 1 to 256.
    pub width: u16,
}

impl Tile {
    /// The tile at this place in a tree of this size; none where the tree does not reach it.
    #[must_use]
    pub fn of(level: u8, index: u64, size: u64) -> Option<Self> {
        let hashes = size.checked_shr(TILE_HEIGHT * u32::from(level)).unwrap_or(0);
        let begin = index.checked_mul(TILE)?;
        let width = hashes.checked_sub(begin).filter(|width| *width > 0)?.min(TILE);
        Some(Self { level, index, width: width as u16 })
    }

    /// Where it lies: `tile/0/x001/234`, `tile/1/000.p/17`.
    #[must_use]
    pub fn path(&self) -> String {
        format!("tile/{}/{}", self.level, place(self.index, self.width))
    }
}

/// Where the entries of the tile of leaves lie: `tile/entries/x001/234`, `tile/entries/000.p/17`.
#[must_use]
pub fn bundle_path(index: u64, width: u16) -> String {
    format!("tile/entries/{}", place(index, width))
}

fn place(index: u64, width: u16) -> String {
    let mut text = format!("{:03}", index % 1000);
    let mut rest = index / 1000;
    while rest > 0 {
        text = format!("x{:03}/{text}", rest % 1000);
        rest /= 1000;
    }
    if u64::from(width) < TILE {
        text.push_str(&format!(".p/{width}"));
    }
    text
}

/// The partial tiles of a tree of this size, and the bundle of entries that is not full.
#[must_use]
pub fn partial_paths(size: u64) -> Vec<String> {
    let widths = (0_u8..8).map(|level| (level, size >> (TILE_HEIGHT * u32::from(level))));
    let tiles = widths
        .filter(|(_, hashes)| hashes % TILE > 0)
        .map(|(level, hashes)| Tile { level, index: hashes / TILE, width: (hashes % TILE) as u16 }.path());
    let bundle = (!size.is_multiple_of(TILE)).then(|| bundle_path(size / TILE, (size % TILE) as u16));
    tiles.chain(bundle).collect()
}

/// A tree that grows, as the tiles of its right edge that are not full.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tree {
    size: u64,
    edge: Vec<Vec<Hash>>,
}

impl Tree {
    /// A tree of this size, from the hashes of its partial tiles: those of level 0 first.
    ///
    /// None where they are not as many as a tree of this size has.
    #[must_use]
    pub fn resume(size: u64, edge: Vec<Vec<Hash>>) -> Option<Self> {
        let mut rest = size;
        for level in &edge {
            if level.len() as u64 != rest % TILE {
                return None;
            }
            rest /= TILE;
        }
        (rest == 0).then_some(Self { size, edge })
    }

    /// How many leaves it has.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The hashes of its partial tiles, those of level 0 first.
    #[must_use]
    pub fn edge(&self) -> &[Vec<Hash>] {
        &self.edge
    }

    /// Appends a leaf. Tiles that became full are handed to `full`, from the lowest level on.
    pub fn push(&mut self, leaf: Hash, full: impl FnMut(Tile, &[Hash])) {
        self.size += 1;
        self.add(0, leaf, full);
    }

    /// Appends a tile of leaves, by what stands for all of them ([`subtree`]). Only where the leaves before fill theirs; says
    /// whether they do.
    pub fn push_tile(&mut self, tile: Hash) -> bool {
        let fits = self.size.is_multiple_of(TILE);
        if fits {
            self.size += TILE;
            if self.edge.is_empty() {
                self.edge.push(Vec::with_capacity(TILE as usize));
            }
            self.add(1, tile, |_, _| ());
        }
        fits
    }

    fn add(&mut self, level: u8, mut hash: Hash, mut full: impl FnMut(Tile, &[Hash])) {
        let mut index = self.size >> (TILE_HEIGHT * (u32::from(level) + 1));
        for level in level.. {
            if self.edge.len() == usize::from(level) {
                self.edge.push(Vec::with_capacity(TILE as usize));
            }
            let Some(hashes) = self.edge.get_mut(usize::from(level)) else { return };
            hashes.push(hash);
            if (hashes.len() as u64) < TILE {
                return;
            }
            full(Tile { level, index: index - 1, width: TILE as u16 }, hashes);
            hash = subtree(hashes).unwrap_or(hash);
            hashes.clear();
            index /= TILE;
        }
    }

    /// What stands for all of it.
    #[must_use]
    pub fn root(&self) -> Hash {
        let mut right: Option<Hash> = None;
        let mut row = Vec::with_capacity(TILE as usize);
        for hashes in &self.edge {
            row.clear();
            row.extend_from_slice(hashes);
            row.extend(right);
            right = subtree(&row);
        }
        right.unwrap_or_else(empty_root)
    }

    /// Its partial tiles.
    pub fn partial(&self) -> impl Iterator<Item = (Tile, &[Hash])> {
        let size = self.size;
        self.edge.iter().enumerate().filter(|(_, hashes)| !hashes.is_empty()).map(move |(level, hashes)| {
            let index = size.checked_shr(TILE_HEIGHT * (level as u32 + 1)).unwrap_or(0);
            (Tile { level: level as u8, index, width: hashes.len() as u16 }, hashes.as_slice())
        })
    }
}

/// What stands for a row of neighbours of which all but the last are complete and alike in height.
#[must_use]
pub fn subtree(row: &[Hash]) -> Option<Hash> {
    match row {
        [] => None,
        [one] => Some(*one),
        [left, right] => Some(node_hash(left, right)),
        _ => {
            let (left, right) = row.split_at(below(row.len() as u64) as usize);
            Some(node_hash(&subtree(left)?, &subtree(right)?))
        }
    }
}

/// The largest power of two below a number that is at least 2.
const fn below(number: u64) -> u64 {
    1 << (63 - (number - 1).leading_zeros())
}

/// Why there is no proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoProof<E> {
    /// The tree has no such leaf, or was never of that size.
    OutOfRange,
    /// A tile is shorter than the tree needs it.
    Short(Tile),
    /// A tile could not be read.
    Tile(E),
}

impl<E: fmt::Display> fmt::Display for NoProof<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfRange => f.write_str("the tree has no such leaf, or was never of that size"),
            Self::Short(tile) => write!(f, "{} is shorter than the tree needs it", tile.path()),
            Self::Tile(error) => error.fmt(f),
        }
    }
}

/// The proof that a leaf is in a tree of this size; `tiles` reads a tile's hashes.
///
/// # Errors
/// When the leaf is not below the size, or a tile cannot be had.
pub fn inclusion<E>(
    index: u64,
    size: u64,
    tiles: &mut dyn FnMut(Tile) -> Result<Vec<Hash>, E>,
) -> Result<Vec<Hash>, NoProof<E>> {
    if index >= size {
        return Err(NoProof::OutOfRange);
    }
    let (mut low, mut high, mut path) = (0, size, Vec::new());
    while high - low > 1 {
        let middle = low + below(high - low);
        if index < middle {
            path.push(range(middle, high, size, tiles)?);
            high = middle;
        } else {
            path.push(range(low, middle, size, tiles)?);
            low = middle;
        }
    }
    path.reverse();
    Ok(path)
}

/// The proof that a tree of size `new` continues the one of size `old`.
///
/// # Errors
/// When it is smaller, or a tile cannot be had.
pub fn consistency<E>(
    old: u64,
    new: u64,
    tiles: &mut dyn FnMut(Tile) -> Result<Vec<Hash>, E>,
) -> Result<Vec<Hash>, NoProof<E>> {
    if old > new {
        return Err(NoProof::OutOfRange);
    }
    if old == 0 || old == new {
        return Ok(Vec::new());
    }
    let (mut low, mut high, mut whole, mut path) = (0, new, true, Vec::new());
    while high != old {
        let middle = low + below(high - low);
        if old <= middle {
            path.push(range(middle, high, new, tiles)?);
            high = middle;
        } else {
            path.push(range(low, middle, new, tiles)?);
            low = middle;
            whole = false;
        }
    }
    if !whole {
        path.push(range(low, high, new, tiles)?);
    }
    path.reverse();
    Ok(path)
}

/// The root that a tree of this size had when it was of size `old`.
///
/// # Errors
/// When it is smaller, or a tile cannot be had.
pub fn root_before<E>(
    old: u64,
    size: u64,
    tiles: &mut dyn FnMut(Tile) -> Result<Vec<Hash>, E>,
) -> Result<Hash, NoProof<E>> {
    match old {
        0 => Ok(empty_root()),
        _ if old > size => Err(NoProof::OutOfRange),
        _ => range(0, old, size, tiles),
    }
}

/// What stands for the leaves from `low` to `high`, a range that occurs in the tree.
fn range<E>(
    low: u64,
    high: u64,
    size: u64,
    tiles: &mut dyn FnMut(Tile) -> Result<Vec<Hash>, E>,
) -> Result<Hash, NoProof<E>> {
    let length = high - low;
    if length.is_power_of_two() && low.is_multiple_of(length) {
        return complete(length.trailing_zeros(), low / length, size, tiles);
    }
    let middle = low + below(length);
    Ok(node_hash(&range(low, middle, size, tiles)?, &range(middle, high, size, tiles)?))
}

/// What stands for a complete subtree of 2^height leaves.
fn complete<E>(
    height: u32,
    index: u64,
    size: u64,
    tiles: &mut dyn FnMut(Tile) -> Result<Vec<Hash>, E>,
) -> Result<Hash, NoProof<E>> {
    let (level, count) = (height / TILE_HEIGHT, 1_u64 << (height % TILE_HEIGHT));
    let first = index * count;
    let tile = Tile::of(level as u8, first / TILE, size).ok_or(NoProof::OutOfRange)?;
    let hashes = tiles(tile).map_err(NoProof::Tile)?;
    let begin = (first % TILE) as usize;
    hashes.get(begin..begin + count as usize).and_then(subtree).ok_or(NoProof::Short(tile))
}

/// Whether the proof shows the leaf at this place in the tree with this root (RFC 9162, section 2.1.3.2).
#[must_use]
pub fn included(leaf: &Hash, index: u64, size: u64, proof: &[Hash], root: &Hash) -> bool {
    if index >= size || proof.len() > PROOF_HASHES {
        return false;
    }
    let (mut node, mut last, mut hash) = (index, size - 1, *leaf);
    for sibling in proof {
        if last == 0 {
            return false;
        }
        if node & 1 == 1 || node == last {
            hash = node_hash(sibling, &hash);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    last == 0 && hash == *root
}

/// Whether the proof shows that the tree with the second root continues the one with the first (RFC 9162, section 2.1.4.2).
#[must_use]
pub fn consistent(old: u64, old_root: &Hash, new: u64, new_root: &Hash, proof: &[Hash]) -> bool {
    if old > new || proof.len() > PROOF_HASHES {
        return false;
    }
    if old == 0 {
        return proof.is_empty() && *old_root == empty_root();
    }
    if old == new {
        return proof.is_empty() && old_root == new_root;
    }
    let mut path = proof.iter();
    let first = if old.is_power_of_two() { Some(old_root) } else { path.next() };
    let Some(first) = first else { return false };
    let (mut node, mut last) = (old - 1, new - 1);
    while node & 1 == 1 {
        node >>= 1;
        last >>= 1;
    }
    let (mut old_hash, mut new_hash) = (*first, *first);
    for sibling in path {
        if last == 0 {
            return false;
        }
        if node & 1 == 1 || node == last {
            old_hash = node_hash(sibling, &old_hash);
            new_hash = node_hash(sibling, &new_hash);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            new_hash = node_hash(&new_hash, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    last == 0 && old_hash == *old_root && new_hash == *new_root
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::convert::Infallible;

    use super::*;

    /// Tiles as a disk would keep them.
    #[derive(Default)]
    struct Kept(BTreeMap<Tile, Vec<Hash>>);

    fn grown(size: u64) -> (Tree, Kept, Vec<Hash>) {
        let (mut tree, mut kept, mut roots) = (Tree::default(), Kept::default(), vec![empty_root()]);
        for index in 0..size {
            tree.push(leaf_hash(&index.to_be_bytes()), |tile, hashes| {
                kept.0.insert(tile, hashes.to_vec());
            });
            // A root is 16 hashes: enough of them to tell, not one for each size.
            let near = |edge: u64| index.abs_diff(edge) <= 300;
            roots.push(if near(300) || near(65_536) || near(size) { tree.root() } else { empty_root() });
        }
        for (tile, hashes) in tree.partial() {
            kept.0.insert(tile, hashes.to_vec());
        }
        (tree, kept, roots)
    }

    fn naive(leaves: &[Hash]) -> Hash {
        subtree(leaves).unwrap_or_else(empty_root)
    }

    #[test]
    fn a_root_is_that_of_the_standard() {
        // RFC 6962's own vectors are these two: nothing, and one empty leaf.
        let hex = |hash: Hash| hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        assert_eq!(hex(empty_root()), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert_eq!(hex(leaf_hash(b"")), "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d");
        let leaves: Vec<Hash> = (0..590_u64).map(|index| leaf_hash(&index.to_be_bytes())).collect();
        let (_, _, roots) = grown(590);
        for (size, root) in roots.iter().enumerate() {
            assert_eq!(*root, naive(&leaves[..size]), "{size}");
        }
    }

    #[test]
    fn every_proof_holds_and_no_other_does() {
        let size = 67_000;
        let (tree, kept, roots) = grown(size);
        let root = tree.root();
        let mut read = |tile: Tile| Ok::<_, Infallible>(kept.0.get(&tile).cloned().unwrap_or_default());
        for index in [0, 1, 255, 256, 257, 4095, 65_535, 65_536, 66_998, 66_999] {
            let proof = inclusion(index, size, &mut read).expect("a proof");
            let leaf = leaf_hash(&index.to_be_bytes());
            assert!(included(&leaf, index, size, &proof, &root), "{index}");
            assert!(!included(&leaf, index ^ 1, size, &proof, &root), "{index}: elsewhere");
            assert!(!included(&root, index, size, &proof, &root), "{index}: another leaf");
            assert!(!included(&leaf, index, size, &proof[1..], &root), "{index}: shorter");
            let mut longer = proof.clone();
            longer.push(root);
            assert!(!included(&leaf, index, size, &longer, &root), "{index}: longer");
        }
        assert_eq!(inclusion(size, size, &mut read), Err(NoProof::OutOfRange));
        for old in [0, 1, 2, 3, 255, 256, 257, 300, 65_535, 65_536, 65_537, 66_999, 67_000] {
            let proof = consistency(old, size, &mut read).expect("a proof");
            let before = roots[old as usize];
            assert!(consistent(old, &before, size, &root, &proof), "{old}");
            if old > 0 {
                assert!(!consistent(old, &roots[old as usize - 1], size, &root, &proof), "{old}: another past");
                assert!(!consistent(old, &before, size, &leaf_hash(b"fork"), &proof), "{old}: another present");
            }
            assert_eq!(root_before(old, size, &mut read), Ok(before), "{old}");
        }
        assert_eq!(consistency(size + 1, size, &mut read), Err(NoProof::OutOfRange));
        assert_eq!(root_before(size + 1, size, &mut read), Err(NoProof::OutOfRange));
    }

    #[test]
    fn a_tree_goes_on_from_its_edge() {
        let (tree, _, _) = grown(66_100);
        let resumed = Tree::resume(tree.size(), tree.edge().to_vec()).expect("the same");
        assert_eq!(resumed.root(), tree.root());
        assert_eq!(Tree::resume(tree.size() + 1, tree.edge().to_vec()), None, "another size");
        assert_eq!(Tree::resume(tree.size() + (1 << 24), tree.edge().to_vec()), None, "a level is missing");
    }

    #[test]
    fn a_tree_of_tiles_is_the_tree_of_their_leaves() {
        let (mut tiled, mut tree) = (Tree::default(), Tree::default());
        let mut row = Vec::new();
        for leaf in 0..(TILE * TILE + 3 * TILE) {
            let hash = leaf_hash(&leaf.to_be_bytes());
            tree.push(hash, |_, _| ());
            row.push(hash);
            if row.len() as u64 == TILE {
                assert!(tiled.push_tile(subtree(&row).expect("full")));
                row.clear();
                assert_eq!(tiled, tree);
            }
        }
        tiled.push(leaf_hash(b"one"), |_, _| ());
        assert!(!tiled.push_tile([0; 32]), "its place is half taken");
        assert_eq!(tiled.size(), tree.size() + 1);
    }

    #[test]
    fn places_are_those_of_the_standard() {
        let tile = |level, index, width| Tile { level, index, width }.path();
        assert_eq!(tile(0, 1_234_067, 256), "tile/0/x001/x234/067");
        assert_eq!(tile(1, 0, 17), "tile/1/000.p/17");
        assert_eq!(bundle_path(1_000, 256), "tile/entries/x001/000");
        assert_eq!(Tile::of(0, 1, 300), Some(Tile { level: 0, index: 1, width: 44 }));
        assert_eq!(Tile::of(1, 0, 300), Some(Tile { level: 1, index: 0, width: 1 }));
        assert_eq!(Tile::of(2, 0, 300), None);
        assert_eq!(partial_paths(300), ["tile/0/001.p/44", "tile/1/000.p/1", "tile/entries/001.p/44"]);
        assert_eq!(partial_paths(512), ["tile/1/000.p/2"]);
        assert!(partial_paths(0).is_empty());
    }
}
