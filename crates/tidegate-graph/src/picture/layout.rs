//! Where everything of a scene goes: layers inside columns, rows inside lanes, ways of lines around cards.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::Sort;
use super::order::Layers;
use super::scene::Scene;

pub(crate) const CARD_WIDTH: f64 = 190.0;
pub(crate) const CARD_HEIGHT: f64 = 54.0;
const CARD_GAP: f64 = 14.0;
const WAY_HEIGHT: f64 = 2.0;
const WAY_GAP: f64 = 4.0;
/// Between layers of one depth, of one column, and of different columns.
const GAPS: [f64; 3] = [40.0, 78.0, 104.0];
/// Between a column's cards and its edge.
pub(crate) const COLUMN_PADDING: f64 = 16.0;
const LANE_PADDING: f64 = 18.0;
/// A lane is at least this tall inside its padding, so that its name has room.
const LANE_MIN: f64 = 76.0;
/// Most waypoints of lines; beyond, lines go straight.
const MAX_WAYS: usize = 20_000;
/// Passes that pull items towards what they are bound to.
const PULLS: usize = 10;

/// The picture with places.
#[derive(Debug)]
pub(crate) struct Layout {
    /// Left upper corner of each card.
    pub(crate) cards: Vec<(f64, f64)>,
    /// Left and right edge of each column.
    pub(crate) columns: Vec<(f64, f64)>,
    /// Upper and lower edge of each lane.
    pub(crate) lanes: Vec<(f64, f64)>,
    /// For each line the waypoints between its cards: left edge, right edge, height. None: the line runs backwards.
    pub(crate) ways: Vec<Option<Vec<(f64, f64, f64)>>>,
    /// The room to the right of each card.
    pub(crate) room: Vec<f64>,
}

/// The layer of each card, the column of each layer, the gap before each layer.
struct Grid {
    layer_of: Vec<usize>,
    column_of: Vec<usize>,
    gap: Vec<f64>,
}

pub(crate) fn place(scene: &Scene, left: f64, top: f64) -> Layout {
    let grid = grid(scene);
    let count = grid.column_of.len();
    let mut layers = Layers {
        items: vec![Vec::new(); count],
        lane: scene.cards.iter().map(|card| card.lane).collect(),
        left: vec![Vec::new(); scene.cards.len()],
        right: vec![Vec::new(); scene.cards.len()],
    };
    for (card, layer) in grid.layer_of.iter().enumerate() {
        layers.items[*layer].push(card);
    }
    let ways = ways(scene, &grid, &mut layers);
    layers.arrange();
    let (rows, lanes) = rows(&layers, scene.cards.len(), scene.lanes.len().max(1), top);
    let mut x = left;
    let mut layer_x = Vec::with_capacity(count);
    for gap in &grid.gap {
        x += gap;
        layer_x.push(x);
        x += CARD_WIDTH;
    }
    let mut columns = vec![(f64::MAX, f64::MIN); scene.columns.len()];
    for (layer, column) in grid.column_of.iter().enumerate() {
        let edge = &mut columns[*column];
        edge.0 = edge.0.min(layer_x[layer] - COLUMN_PADDING);
        edge.1 = edge.1.max(layer_x[layer] + CARD_WIDTH + COLUMN_PADDING);
    }
    let cards = (0..scene.cards.len())
        .map(|card| (layer_x[grid.layer_of[card]], rows[card] - CARD_HEIGHT / 2.0))
        .collect();
    let room = grid
        .layer_of
        .iter()
        .map(|layer| grid.gap.get(layer + 1).copied().unwrap_or(0.0))
        .collect();
    let layer_of_way: HashMap<usize, usize> = layers
        .items
        .iter()
        .enumerate()
        .flat_map(|(layer, items)| items.iter().map(move |item| (*item, layer)))
        .collect();
    let ways = ways
        .into_iter()
        .map(|way| {
            let points = way?.into_iter().map(|item| {
                let x = layer_x[layer_of_way[&item]];
                (x, x + CARD_WIDTH, rows[item])
            });
            Some(points.collect())
        })
        .collect();
    Layout {
        cards,
        columns,
        lanes,
        ways,
        room,
    }
}

/// Cards of one column stand in layers: each to the right of what it waits for, tall layers broken into several.
fn grid(scene: &Scene) -> Grid {
    let depth = depths(scene);
    let most_rows = ((scene.cards.len() as f64).sqrt() * 1.6)
        .ceil()
        .clamp(10.0, 40.0) as usize;
    let mut members: BTreeMap<(usize, usize), BTreeMap<usize, Vec<usize>>> = BTreeMap::new();
    for (index, card) in scene.cards.iter().enumerate() {
        members
            .entry((card.column, depth[index]))
            .or_default()
            .entry(card.lane)
            .or_default()
            .push(index);
    }
    let mut grid = Grid {
        layer_of: vec![0; scene.cards.len()],
        column_of: Vec::new(),
        gap: Vec::new(),
    };
    for ((column, _), lanes) in members {
        let broken = lanes
            .values()
            .map(|cards| cards.len().div_ceil(most_rows))
            .max()
            .unwrap_or(1)
            .max(1);
        let first = grid.column_of.len();
        for number in 0..broken {
            let gap = match grid.column_of.last() {
                None => 0.0,
                Some(_) if number > 0 => GAPS[0],
                Some(last) if *last == column => GAPS[1],
                Some(_) => GAPS[2],
            };
            grid.column_of.push(column);
            grid.gap.push(gap);
        }
        for cards in lanes.values() {
            let rows = cards.len().div_ceil(broken).max(1);
            for (position, card) in cards.iter().enumerate() {
                grid.layer_of[*card] = first + position / rows;
            }
        }
    }
    grid
}

/// How many cards of its own column stand before each card.
fn depths(scene: &Scene) -> Vec<usize> {
    let mut inside: Vec<Vec<usize>> = vec![Vec::new(); scene.cards.len()];
    for line in &scene.lines {
        // Cards are in an order that respects lines, so a line that goes back belongs to a cycle.
        if line.from < line.to
            && scene.cards[line.from].column == scene.cards[line.to].column
            && !line.is_against
        {
            inside[line.to].push(line.from);
        }
    }
    let mut depth = vec![0; scene.cards.len()];
    for card in 0..scene.cards.len() {
        depth[card] = inside[card]
            .iter()
            .map(|from| depth[*from] + 1)
            .max()
            .unwrap_or(0);
    }
    depth
}

/// Leads lines over layers between their cards; lines of one card and sort share their way.
fn ways(scene: &Scene, grid: &Grid, layers: &mut Layers) -> Vec<Option<Vec<usize>>> {
    let mut shared: HashMap<(usize, Sort, usize), usize> = HashMap::new();
    let mut joined: HashSet<(usize, usize)> = HashSet::new();
    let mut made = 0;
    let mut ways = Vec::with_capacity(scene.lines.len());
    for line in &scene.lines {
        let (from, to) = (grid.layer_of[line.from], grid.layer_of[line.to]);
        if line.is_against || from >= to {
            ways.push(None);
            continue;
        }
        let mut way = Vec::new();
        let mut last = line.from;
        let is_led = made + (to - from) <= MAX_WAYS;
        for layer in (from + 1..to).filter(|_| is_led) {
            let item = *shared
                .entry((line.from, line.sort, layer))
                .or_insert_with(|| {
                    made += 1;
                    let item = layers.lane.len();
                    layers.lane.push(scene.cards[line.from].lane);
                    layers.left.push(Vec::new());
                    layers.right.push(Vec::new());
                    layers.items[layer].push(item);
                    item
                });
            join(layers, &mut joined, last, item);
            way.push(item);
            last = item;
        }
        if is_led {
            join(layers, &mut joined, last, line.to);
        }
        ways.push(Some(way));
    }
    ways
}

fn join(layers: &mut Layers, joined: &mut HashSet<(usize, usize)>, from: usize, to: usize) {
    if joined.insert((from, to)) {
        layers.right[from].push(to);
        layers.left[to].push(from);
    }
}

/// The middle of each item, and the edges of the lanes.
fn rows(layers: &Layers, cards: usize, lanes: usize, top: f64) -> (Vec<f64>, Vec<(f64, f64)>) {
    let height = |item: usize| {
        if item < cards {
            CARD_HEIGHT
        } else {
            WAY_HEIGHT
        }
    };
    let apart = |above: usize, below: usize| {
        let gap = match (above < cards, below < cards) {
            (true, true) => CARD_GAP,
            (false, false) => WAY_GAP,
            (true, false) | (false, true) => 2.0 * WAY_GAP,
        };
        (height(above) + height(below)) / 2.0 + gap
    };
    let mut middle = vec![0.0; layers.lane.len()];
    let mut stacks: Vec<(usize, Vec<usize>)> = Vec::new();
    let mut tallest: f64 = CARD_HEIGHT;
    for (layer, items) in layers.items.iter().enumerate() {
        for lane in 0..lanes {
            let stack: Vec<usize> = items
                .iter()
                .copied()
                .filter(|item| layers.lane[*item] == lane)
                .collect();
            let total: f64 = stack.windows(2).map(|pair| apart(pair[0], pair[1])).sum();
            tallest = tallest.max(total);
            let mut y = -total / 2.0;
            for (at, item) in stack.iter().enumerate() {
                if at > 0 {
                    y += apart(stack[at - 1], *item);
                }
                middle[*item] = y;
            }
            stacks.push((layer, stack));
        }
    }
    // Nothing is pulled far beyond the tallest stack, so the picture stays compact.
    let reach = tallest * 0.5;
    for pull in 0..PULLS {
        let is_forwards = pull % 2 == 0;
        let is_last = pull + 2 >= PULLS;
        let mut run: Vec<&(usize, Vec<usize>)> = stacks.iter().collect();
        if !is_forwards {
            run.reverse();
        }
        for (_, stack) in run {
            let wanted: Vec<f64> = stack
                .iter()
                .map(|item| {
                    wanted(layers, &middle, *item, is_forwards, is_last).clamp(-reach, reach)
                })
                .collect();
            let settled = settle(stack, &wanted, &apart);
            for (item, y) in stack.iter().zip(settled) {
                middle[*item] = y;
            }
        }
    }
    let mut edges = Vec::with_capacity(lanes);
    let mut y = top;
    for lane in 0..lanes {
        let of_lane = || (0..middle.len()).filter(|item| layers.lane[*item] == lane);
        let upper = of_lane()
            .map(|item| middle[item] - height(item) / 2.0)
            .fold(f64::MAX, f64::min);
        let lower = of_lane()
            .map(|item| middle[item] + height(item) / 2.0)
            .fold(f64::MIN, f64::max);
        let needed = if upper <= lower { lower - upper } else { 0.0 };
        let tall = needed.max(LANE_MIN);
        let shift = y + LANE_PADDING + (tall - needed) / 2.0 - upper;
        let items: Vec<usize> = of_lane().collect();
        for item in items {
            middle[item] += shift;
        }
        edges.push((y, y + tall + 2.0 * LANE_PADDING));
        y += tall + 2.0 * LANE_PADDING;
    }
    (middle, edges)
}

/// Where an item would like to stand: level with its neighbours of its own lane.
fn wanted(layers: &Layers, middle: &[f64], item: usize, is_forwards: bool, both: bool) -> f64 {
    let (first, second) = if is_forwards {
        (&layers.left[item], &layers.right[item])
    } else {
        (&layers.right[item], &layers.left[item])
    };
    let none = Vec::new();
    let second = if both || first.is_empty() {
        second
    } else {
        &none
    };
    let (mut sum, mut count) = (0.0, 0.0);
    for neighbour in first
        .iter()
        .chain(second)
        .filter(|n| layers.lane[**n] == layers.lane[item])
    {
        sum += middle[*neighbour];
        count += 1.0;
    }
    if count > 0.0 {
        sum / count
    } else {
        middle[item]
    }
}

/// The places nearest to what is wanted that keep order and distances (isotonic regression, blocks merged).
fn settle(stack: &[usize], wanted: &[f64], apart: &impl Fn(usize, usize) -> f64) -> Vec<f64> {
    let mut offset = 0.0;
    let mut offsets = Vec::with_capacity(stack.len());
    let mut blocks: Vec<(f64, usize)> = Vec::new();
    for (at, item) in stack.iter().enumerate() {
        if at > 0 {
            offset += apart(stack[at - 1], *item);
        }
        offsets.push(offset);
        let (mut sum, mut count) = (wanted[at] - offset, 1);
        while let Some((last, size)) = blocks.last().copied() {
            if last / size as f64 <= sum / count as f64 {
                break;
            }
            sum += last;
            count += size;
            blocks.pop();
        }
        blocks.push((sum, count));
    }
    let level = blocks
        .into_iter()
        .flat_map(|(sum, size)| std::iter::repeat_n(sum / size as f64, size));
    level
        .zip(offsets)
        .map(|(level, offset)| level + offset)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settling_keeps_distances() {
        let apart = |_: usize, _: usize| 10.0;
        assert_eq!(
            settle(&[0, 1, 2], &[0.0, 0.0, 0.0], &apart),
            [-10.0, 0.0, 10.0]
        );
        assert_eq!(settle(&[0, 1], &[0.0, 50.0], &apart), [0.0, 50.0]);
        assert_eq!(settle(&[], &[], &apart), Vec::<f64>::new());
    }
}
