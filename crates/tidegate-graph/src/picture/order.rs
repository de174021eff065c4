//! The order of items in their columns: barycentres, swept to and fro, the arrangement with the fewest crossings kept.

/// Sweeps over all layers; more brings little.
const SWEEPS: usize = 16;

/// Items by layer; each item has a lane, and items of one lane stay together.
#[derive(Clone, Debug)]
pub(crate) struct Layers {
    /// For each layer the items from top to bottom.
    pub(crate) items: Vec<Vec<usize>>,
    /// The lane of each item.
    pub(crate) lane: Vec<usize>,
    /// The neighbours of each item in the layer before.
    pub(crate) left: Vec<Vec<usize>>,
    /// The neighbours of each item in the layer after.
    pub(crate) right: Vec<Vec<usize>>,
}

impl Layers {
    /// Puts the items into an order with few crossings.
    pub(crate) fn arrange(&mut self) {
        for layer in &mut self.items {
            let lane = &self.lane;
            layer.sort_by_key(|item| lane[*item]);
        }
        let mut best = self.items.clone();
        let mut fewest = self.crossings();
        for sweep in 0..SWEEPS {
            if fewest == 0 {
                break;
            }
            let layers: Vec<usize> = if sweep % 2 == 0 {
                (0..self.items.len()).collect()
            } else {
                (0..self.items.len()).rev().collect()
            };
            for layer in layers {
                self.sweep(layer, sweep % 2 == 0);
            }
            let now = self.crossings();
            if now < fewest {
                fewest = now;
                best.clone_from(&self.items);
            }
        }
        self.items = best;
    }

    fn sweep(&mut self, layer: usize, forwards: bool) {
        let beside = if forwards {
            layer.checked_sub(1)
        } else {
            Some(layer + 1)
        };
        let Some(beside) = beside.and_then(|at| self.items.get(at)) else {
            return;
        };
        let places = places(beside, self.lane.len());
        let own = self.items[layer].clone();
        let scale = beside.len().max(1) as f64 / own.len().max(1) as f64;
        let key = |at: usize, item: usize| {
            let neighbours = if forwards {
                &self.left[item]
            } else {
                &self.right[item]
            };
            if neighbours.is_empty() {
                return at as f64 * scale;
            }
            neighbours.iter().map(|n| places[*n] as f64).sum::<f64>() / neighbours.len() as f64
        };
        let mut keyed: Vec<(usize, f64, usize)> = own
            .iter()
            .enumerate()
            .map(|(at, item)| (self.lane[*item], key(at, *item), *item))
            .collect();
        keyed.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
        self.items[layer] = keyed.into_iter().map(|(_, _, item)| item).collect();
    }

    /// How many pairs of lines cross between neighbouring layers.
    pub(crate) fn crossings(&self) -> usize {
        self.items
            .windows(2)
            .map(|pair| {
                let places = places(&pair[1], self.lane.len());
                let mut ends: Vec<usize> = Vec::new();
                for item in &pair[0] {
                    let mut here: Vec<usize> =
                        self.right[*item].iter().map(|n| places[*n]).collect();
                    here.sort_unstable();
                    ends.extend(here);
                }
                inversions(&ends, pair[1].len())
            })
            .sum()
    }
}

fn places(layer: &[usize], count: usize) -> Vec<usize> {
    let mut places = vec![0; count];
    for (at, item) in layer.iter().enumerate() {
        places[*item] = at;
    }
    places
}

/// Counts pairs out of order with a Fenwick tree.
fn inversions(values: &[usize], bound: usize) -> usize {
    let mut tree = vec![0usize; bound + 1];
    let mut count = 0;
    for (seen, value) in values.iter().enumerate() {
        let mut not_greater = 0;
        let mut at = value + 1;
        while at > 0 {
            not_greater += tree[at];
            at -= at & at.wrapping_neg();
        }
        count += seen - not_greater;
        let mut at = value + 1;
        while at <= bound {
            tree[at] += 1;
            at += at & at.wrapping_neg();
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inversions_are_counted() {
        assert_eq!(inversions(&[0, 1, 2], 3), 0);
        assert_eq!(inversions(&[2, 1, 0], 3), 3);
        assert_eq!(inversions(&[1, 1, 0], 2), 2);
    }

    #[test]
    fn crossed_lines_are_uncrossed_within_lanes() {
        let mut layers = Layers {
            items: vec![vec![0, 1], vec![2, 3]],
            lane: vec![0; 4],
            left: vec![vec![], vec![], vec![1], vec![0]],
            right: vec![vec![3], vec![2], vec![], vec![]],
        };
        assert_eq!(layers.crossings(), 1);
        layers.arrange();
        assert_eq!(layers.crossings(), 0);
        layers.lane = vec![0, 1, 1, 0];
        layers.items = vec![vec![1, 0], vec![2, 3]];
        layers.arrange();
        assert_eq!(layers.items, [vec![0, 1], vec![3, 2]]);
    }
}
