//! What starts after what, as columns: a resource stands to the right of all that it waits for.
//! An arrow that passes a column has a place of its own in it, so that it crosses no block.

use crate::cluster::{Cluster, ConstraintKind};

/// Resources in columns.
#[derive(Debug)]
pub(super) struct Chart<'a> {
    pub(super) items: Vec<Item<'a>>,
    /// The items of each column, from the top.
    pub(super) columns: Vec<Vec<usize>>,
    /// Each arrow: items of neighbouring columns, the first and the last of them resources.
    pub(super) arrows: Vec<Vec<usize>>,
}

/// What stands in a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Item<'a> {
    /// A resource, by its id.
    Resource(&'a str),
    /// An arrow on its way.
    Passing,
}

/// The chart of all resources that constraints bind firmly.
pub(super) fn chart(cluster: &Cluster) -> Chart<'_> {
    let firm = |kind: &ConstraintKind| match kind {
        ConstraintKind::Together | ConstraintKind::InOrder => true,
        ConstraintKind::Near { .. } => false,
    };
    let bound: Vec<&str> = (cluster.constraints.iter())
        .filter(|c| firm(&c.kind))
        .flat_map(|c| c.sets.iter().flat_map(|set| set.resources.iter().copied()))
        .collect();
    let ids: Vec<&str> = (cluster.resources.iter())
        .map(|resource| resource.id())
        .filter(|id| bound.contains(id))
        .collect();
    let pairs = needed(pairs(cluster, &ids), ids.len());
    let depth = depths(&pairs, ids.len());
    let mut chart = Chart {
        items: ids.iter().map(|id| Item::Resource(id)).collect(),
        columns: vec![Vec::new(); depth.iter().max().map_or(0, |d| d + 1)],
        arrows: Vec::new(),
    };
    for (item, depth) in depth.iter().enumerate() {
        chart.columns[*depth].push(item);
    }
    for (from, to) in pairs {
        let mut way = vec![from];
        for column in &mut chart.columns[depth[from] + 1..depth[to]] {
            way.push(chart.items.len());
            column.push(chart.items.len());
            chart.items.push(Item::Passing);
        }
        way.push(to);
        chart.arrows.push(way);
    }
    chart.untangle();
    chart
}

/// What directly starts after what, as places in `ids`.
fn pairs(cluster: &Cluster, ids: &[&str]) -> Vec<(usize, usize)> {
    let mut pairs = Vec::new();
    let orders = cluster.constraints.iter();
    for order in orders.filter(|c| c.kind == ConstraintKind::InOrder) {
        let chain: Vec<usize> = (order.sets.iter())
            .flat_map(|set| &set.resources)
            .filter_map(|id| ids.iter().position(|known| known == id))
            .collect();
        for pair in chain.windows(2) {
            if !pairs.contains(&(pair[0], pair[1])) {
                pairs.push((pair[0], pair[1]));
            }
        }
    }
    pairs
}

/// Without the pairs that others say already.
fn needed(pairs: Vec<(usize, usize)>, count: usize) -> Vec<(usize, usize)> {
    let mut reach = vec![vec![false; count]; count];
    for _ in 0..count {
        for &(from, to) in &pairs {
            reach[from][to] = true;
            let further = reach[to].clone();
            for (n, further) in further.into_iter().enumerate() {
                reach[from][n] |= further;
            }
        }
    }
    let said = |&(from, to): &(usize, usize)| {
        let mut steps = pairs.iter().filter(|(f, t)| *f == from && *t != to);
        steps.any(|&(_, step)| reach[step][to])
    };
    pairs.iter().copied().filter(|pair| !said(pair)).collect()
}

/// The longest way to each. A model has no circles; one would end after `count` rounds.
fn depths(pairs: &[(usize, usize)], count: usize) -> Vec<usize> {
    let mut depths = vec![0; count];
    for _ in 0..count {
        for &(from, to) in pairs {
            depths[to] = depths[to].max(depths[from] + 1);
        }
    }
    depths
}

impl Chart<'_> {
    /// What each item is connected with, to the left or to the right.
    fn neighbours(&self, left: bool) -> Vec<Vec<usize>> {
        let mut neighbours = vec![Vec::new(); self.items.len()];
        for pair in self.arrows.iter().flat_map(|way| way.windows(2)) {
            match left {
                true => neighbours[pair[1]].push(pair[0]),
                false => neighbours[pair[0]].push(pair[1]),
            }
        }
        neighbours
    }

    /// Sorts each column by where its neighbours stand, so that few arrows cross.
    fn untangle(&mut self) {
        for left in [true, false, true] {
            let neighbours = self.neighbours(left);
            let mut columns: Vec<usize> = (0..self.columns.len()).collect();
            if !left {
                columns.reverse();
            }
            for column in columns {
                let mut place = vec![0; self.items.len()];
                for rows in &self.columns {
                    for (row, item) in rows.iter().enumerate() {
                        place[*item] = 1000 * (2 * row + 1) / rows.len();
                    }
                }
                self.columns[column].sort_by_key(|&item| match neighbours[item].len() {
                    0 => place[item],
                    n => neighbours[item].iter().map(|&n| place[n]).sum::<usize>() / n,
                });
            }
        }
    }

    /// The middle of each item, for items of these heights with `gap` between them. The
    /// highest begins at 0.
    pub(super) fn middles(&self, heights: &[i32], gap: i32) -> Vec<i32> {
        let mut middles = vec![0; self.items.len()];
        for left in [true, false, true] {
            let neighbours = self.neighbours(left);
            let mut columns: Vec<&Vec<usize>> = self.columns.iter().collect();
            if !left {
                columns.reverse();
            }
            for column in columns {
                let wanted: Vec<i32> = (column.iter())
                    .map(|&item| match neighbours[item].len() {
                        0 => middles[item],
                        n => neighbours[item].iter().map(|&n| middles[n]).sum::<i32>() / n as i32,
                    })
                    .collect();
                let mut bottom = i32::MIN / 2;
                for (&item, wanted) in column.iter().zip(&wanted) {
                    middles[item] = (*wanted).max(bottom + gap + heights[item] / 2);
                    bottom = middles[item] + heights[item] - heights[item] / 2;
                }
                // What was pushed down is shared out over the column.
                let pushed: i32 = (column.iter().zip(&wanted))
                    .map(|(&item, wanted)| middles[item] - wanted)
                    .sum();
                for &item in column {
                    middles[item] -= pushed / column.len() as i32;
                }
            }
        }
        let tops = middles.iter().zip(heights).map(|(m, h)| m - h / 2);
        let top = tops.min().unwrap_or_default();
        middles.iter().map(|middle| middle - top).collect()
    }
}
