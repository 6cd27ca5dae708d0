//! Places blocks as a tree that grows from right to left. Each block stands in a column to the left of
//! the block that its arrow leads to, half way down its own branches.

use super::drawing::Block;

/// Space between two blocks of a column.
pub(super) const GAP: i32 = 16;
/// Space between two columns, for the arrows.
const ARROW: i32 = 64;

/// An arrow from one block to another, as their indexes.
pub(super) type Pair = (usize, usize);

/// Moves the blocks to their places from (0, 0) on, and returns the width of the tree. All get the
/// same height. The pairs must not form a circle. Only a block's first arrow decides its place.
pub(super) fn place(blocks: &mut [Block], pairs: &[Pair]) -> i32 {
    // As far right as the blocks that its arrows lead to allow.
    let mut from_right = vec![0; blocks.len()];
    for _ in 0..blocks.len() {
        for &(from, to) in pairs {
            from_right[from] = from_right[from].max(from_right[to] + 1);
        }
    }
    let height = blocks.iter().map(|block| block.area.h).max();
    let mut left = 0;
    for column in (0..=from_right.iter().copied().max().unwrap_or_default()).rev() {
        let in_column = blocks.iter_mut().zip(&from_right);
        let in_column = in_column.filter(|(_, from_right)| **from_right == column);
        let mut in_column: Vec<&mut Block> = in_column.map(|(block, _)| block).collect();
        let width = in_column.iter().map(|block| block.area.w).max();
        for block in &mut in_column {
            block.area.x = left;
            block.area.w = width.unwrap_or_default();
            block.area.h = height.unwrap_or_default();
        }
        left += width.unwrap_or_default() + ARROW;
    }
    let mut bottom = 0;
    for last in (0..blocks.len()).filter(|n| from_right[*n] == 0) {
        place_vertically(blocks, pairs, last, &mut bottom);
    }
    left - ARROW
}

/// Places the branches of a block below `bottom`, and the block half way down beside them.
fn place_vertically(blocks: &mut [Block], pairs: &[Pair], block: usize, bottom: &mut i32) {
    let first_arrow = |from: usize| pairs.iter().find(|pair| pair.0 == from);
    let branches: Vec<usize> = (0..blocks.len())
        .filter(|&from| first_arrow(from).is_some_and(|pair| pair.1 == block))
        .collect();
    for &branch in &branches {
        place_vertically(blocks, pairs, branch, bottom);
    }
    blocks[block].area.y = match (branches.first(), branches.last()) {
        (Some(&first), Some(&last)) => (blocks[first].area.y + blocks[last].area.y) / 2,
        _ => *bottom,
    };
    if branches.is_empty() {
        *bottom += blocks[block].area.h + GAP;
    }
}
