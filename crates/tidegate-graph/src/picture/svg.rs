//! The picture as SVG: one file that stands alone, for light and dark screens, without scripts.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write;

use super::Sort;
use super::layout::{self, CARD_HEIGHT, CARD_WIDTH, Layout};
use super::scene::{self, Card, Line, Scene};
use super::text::{shorten, width, xml};
use crate::{CriticalPath, Graph, NodeRole};

const MARGIN: f64 = 24.0;
const TITLE_HEIGHT: f64 = 44.0;
const HEADING_HEIGHT: f64 = 46.0;
const LEGEND_HEIGHT: f64 = 44.0;
/// Left of the first column's cards: its padding.
const LEFT: f64 = MARGIN + layout::COLUMN_PADDING;

/// Colours and faces; kept in plain classes, since many viewers know no CSS variables.
const STYLE: &str = include_str!("svg.css");

macro_rules! put {
    ($out:expr, $($arg:tt)*) => {
        writeln!($out, $($arg)*).expect("writing to a String cannot fail")
    };
}

pub(crate) fn write(graph: &Graph, critical: &CriticalPath) -> String {
    let scene = scene::build(graph, critical);
    let lane_room = if scene.lanes.len() > 1 { 20.0 } else { 0.0 };
    let top = MARGIN + TITLE_HEIGHT + HEADING_HEIGHT;
    let layout = layout::place(&scene, LEFT + lane_room, top);
    let bottom = layout.lanes.last().map_or(top, |lane| lane.1);
    let legend = legend(&scene);
    let right = layout
        .columns
        .iter()
        .map(|column| column.1)
        .fold(MARGIN + 420.0, f64::max)
        .max(MARGIN + legend.1);
    let (wide, tall) = (
        (right + MARGIN).ceil(),
        (bottom + LEGEND_HEIGHT + MARGIN).ceil(),
    );
    let mut out = String::with_capacity(scene.cards.len() * 700 + scene.lines.len() * 400 + 8_192);
    put!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {wide} {tall}\" width=\"{wide}\" height=\"{tall}\" role=\"img\" class=\"tg\">"
    );
    put!(out, "<title>Dependency graph</title>");
    put!(out, "<style>\n{STYLE}</style>");
    defs(&mut out);
    put!(
        out,
        "<rect class=\"page\" width=\"{wide}\" height=\"{tall}\"/>"
    );
    title(&mut out, graph, &scene);
    columns(&mut out, &scene, &layout, bottom);
    lanes(&mut out, &scene, &layout, right);
    jumps(&mut out, &scene, &layout);
    lines(&mut out, &scene, &layout);
    for (card, place) in scene.cards.iter().zip(&layout.cards) {
        draw_card(&mut out, card, *place);
    }
    put!(
        out,
        "<g transform=\"translate({MARGIN} {})\">{}</g>",
        bottom + 26.0,
        legend.0
    );
    put!(out, "</svg>");
    out
}

fn defs(out: &mut String) {
    out.push_str("<defs>");
    for class in Sort::ALL
        .map(Sort::class)
        .into_iter()
        .chain(["against", "critical"])
    {
        put!(
            out,
            "<marker id=\"tg-{class}\" viewBox=\"0 0 8 8\" refX=\"7.5\" refY=\"4\" markerWidth=\"7\" markerHeight=\"7\" \
             markerUnits=\"userSpaceOnUse\" orient=\"auto\"><path class=\"head {class}\" d=\"M0 0.6L8 4L0 7.4Z\"/></marker>"
        );
    }
    put!(out, "</defs>");
}

fn title(out: &mut String, graph: &Graph, scene: &Scene) {
    let plural =
        |count: usize, one: &str| format!("{count} {one}{}", if count == 1 { "" } else { "s" });
    let mut facts = vec![
        plural(scene.tasks, "task"),
        plural(graph.groups().len(), "wave"),
        plural(graph.edges().len(), "reference"),
    ];
    if !graph.cycles().is_empty() {
        facts.push(plural(graph.cycles().len(), "cycle"));
    }
    if scene.is_gathered {
        facts.push("gathered by kind".to_owned());
    }
    put!(
        out,
        "<text class=\"title\" x=\"{MARGIN}\" y=\"{}\">Dependency graph</text>",
        MARGIN + 16.0
    );
    put!(
        out,
        "<text class=\"note\" x=\"{}\" y=\"{}\">{}</text>",
        MARGIN + 166.0,
        MARGIN + 16.0,
        xml(&facts.join(" · "))
    );
}

fn columns(out: &mut String, scene: &Scene, layout: &Layout, bottom: f64) {
    let top = MARGIN + TITLE_HEIGHT;
    for (column, (left, right)) in scene.columns.iter().zip(&layout.columns) {
        let (x, wide) = (left, right - left);
        put!(
            out,
            "<g class=\"{}\"><rect class=\"band\" x=\"{x:.1}\" y=\"{top}\" width=\"{wide:.1}\" height=\"{:.1}\" rx=\"10\"/>",
            column.class,
            bottom - top
        );
        put!(
            out,
            "<rect class=\"bar\" x=\"{x:.1}\" y=\"{top}\" width=\"{wide:.1}\" height=\"4\" rx=\"2\"/>"
        );
        put!(
            out,
            "<text class=\"heading\" x=\"{:.1}\" y=\"{}\">{}</text>",
            x + 14.0,
            top + 23.0,
            xml(&column.heading)
        );
        put!(
            out,
            "<text class=\"note\" x=\"{:.1}\" y=\"{}\">{}</text></g>",
            x + 14.0,
            top + 38.0,
            xml(&column.note)
        );
    }
}

fn lanes(out: &mut String, scene: &Scene, layout: &Layout, right: f64) {
    if scene.lanes.len() < 2 {
        return;
    }
    for (number, (name, (top, bottom))) in scene.lanes.iter().zip(&layout.lanes).enumerate() {
        if number > 0 {
            put!(
                out,
                "<line class=\"lane\" x1=\"{}\" y1=\"{top:.1}\" x2=\"{right:.1}\" y2=\"{top:.1}\"/>",
                MARGIN - 12.0
            );
        }
        let (x, y) = (MARGIN, f64::midpoint(*top, *bottom));
        let short = shorten(name, 11.0, bottom - top - 8.0);
        put!(
            out,
            "<text class=\"lane-name\" transform=\"rotate(-90 {x} {y:.1})\" x=\"{x}\" y=\"{y:.1}\">{}</text>",
            xml(&short)
        );
    }
}

/// Steps of the longest chain that only the order of waves explains.
fn jumps(out: &mut String, scene: &Scene, layout: &Layout) {
    for (from, to) in &scene.jumps {
        let (a, b) = (layout.cards[*from], layout.cards[*to]);
        let start = (a.0 + CARD_WIDTH, a.1 + CARD_HEIGHT / 2.0);
        let end = (b.0, b.1 + CARD_HEIGHT / 2.0);
        let bend = ((end.0 - start.0) / 2.0).abs().max(30.0);
        put!(
            out,
            "<path class=\"jump\" d=\"M{:.1} {:.1}C{:.1} {:.1} {:.1} {:.1} {:.1} {:.1}\"><title>the later wave waits for the earlier</title></path>",
            start.0,
            start.1,
            start.0 + bend,
            start.1,
            end.0 - bend,
            end.1,
            end.0,
            end.1
        );
    }
}

fn lines(out: &mut String, scene: &Scene, layout: &Layout) {
    let ends = Ends::of(scene, layout);
    // What stands out is drawn last, over the rest.
    let mut order: Vec<usize> = (0..scene.lines.len()).collect();
    order.sort_by_key(|i| {
        let line = &scene.lines[*i];
        (
            line.is_critical,
            line.is_against,
            std::cmp::Reverse(line.sort),
            *i,
        )
    });
    let mut labelled: BTreeSet<(usize, Sort)> = BTreeSet::new();
    let mut labels = String::new();
    for index in order {
        let line = &scene.lines[index];
        let start = (layout.cards[line.from].0 + CARD_WIDTH, ends.exit(line));
        let end = (layout.cards[line.to].0, ends.entry[index]);
        let path = match &layout.ways[index] {
            Some(way) => forward(start, way, end),
            None => backward(layout, line, layout.lanes[scene.cards[line.to].lane].0),
        };
        let class = if line.is_against {
            "against"
        } else {
            line.sort.class()
        };
        let head = if line.is_critical && !line.is_against {
            "critical"
        } else {
            class
        };
        let mut classes = format!("line {class}");
        if line.is_soft && !line.is_against {
            classes.push_str(" soft");
        }
        if line.is_critical {
            classes.push_str(" critical");
        }
        put!(
            out,
            "<path class=\"{classes}\" d=\"{path}\" marker-end=\"url(#tg-{head})\"><title>{}</title></path>",
            title_text(&line.title)
        );
        if layout.ways[index].is_some() && labelled.insert((line.from, line.sort)) {
            label(&mut labels, line, start, layout.room[line.from]);
        }
    }
    out.push_str(&labels);
}

/// A title keeps its lines: viewers show them.
fn title_text(text: &str) -> String {
    text.lines().map(xml).collect::<Vec<_>>().join("\n")
}

/// Where lines leave and reach their cards.
struct Ends {
    exit: HashMap<(usize, Sort), f64>,
    entry: Vec<f64>,
}

impl Ends {
    fn of(scene: &Scene, layout: &Layout) -> Self {
        let middle = |card: usize| layout.cards[card].1 + CARD_HEIGHT / 2.0;
        let mut leaving: HashMap<usize, BTreeSet<Sort>> = HashMap::new();
        let mut reaching: HashMap<usize, Vec<(f64, usize)>> = HashMap::new();
        for (index, line) in scene.lines.iter().enumerate() {
            if let Some(way) = &layout.ways[index] {
                leaving.entry(line.from).or_default().insert(line.sort);
                let comes_from = way
                    .last()
                    .map_or_else(|| middle(line.from), |point| point.2);
                reaching
                    .entry(line.to)
                    .or_default()
                    .push((comes_from, index));
            }
        }
        let mut exit = HashMap::new();
        for (card, sorts) in leaving {
            for (number, sort) in sorts.iter().enumerate() {
                exit.insert(
                    (card, *sort),
                    middle(card) + spread(number, sorts.len(), 13.0),
                );
            }
        }
        let mut entry = vec![0.0; scene.lines.len()];
        for (card, mut lines) in reaching {
            lines.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            for (number, (_, index)) in lines.iter().enumerate() {
                entry[*index] = middle(card) + spread(number, lines.len(), 8.0);
            }
        }
        Self { exit, entry }
    }

    fn exit(&self, line: &Line) -> f64 {
        self.exit
            .get(&(line.from, line.sort))
            .copied()
            .unwrap_or_default()
    }
}

/// Offsets around the middle of a card, never beyond its edges.
fn spread(number: usize, count: usize, step: f64) -> f64 {
    let step = step.min((CARD_HEIGHT - 14.0) / count.max(1) as f64);
    (number as f64 - (count as f64 - 1.0) / 2.0) * step
}

fn forward(start: (f64, f64), way: &[(f64, f64, f64)], end: (f64, f64)) -> String {
    let mut path = format!("M{:.1} {:.1}", start.0, start.1);
    let mut here = start;
    let mut curve = |path: &mut String, to: (f64, f64)| {
        let bend = ((to.0 - here.0) * 0.5).max(12.0);
        write!(
            path,
            "C{:.1} {:.1} {:.1} {:.1} {:.1} {:.1}",
            here.0 + bend,
            here.1,
            to.0 - bend,
            to.1,
            to.0,
            to.1
        )
        .expect("writing to a String cannot fail");
        here = to;
    };
    for (left, right, y) in way {
        curve(&mut path, (*left, *y));
        write!(path, "H{right:.1}").expect("writing to a String cannot fail");
        curve(&mut path, (*right, *y));
    }
    curve(&mut path, (end.0 - 1.0, end.1));
    path
}

/// A line against the order runs over the cards of its lane.
fn backward(layout: &Layout, line: &Line, lane: f64) -> String {
    let (a, b) = (layout.cards[line.from], layout.cards[line.to]);
    let start = (a.0 + CARD_WIDTH * 0.5, a.1);
    let end = (b.0 + CARD_WIDTH * 0.62, b.1);
    let over = lane + 5.0;
    let turn = if start.0 < end.0 { 60.0 } else { -60.0 };
    let (leave, arrive) = (start.0 + turn, end.0 - turn);
    let mut path = format!(
        "M{:.1} {:.1}C{:.1} {over:.1} {:.1} {over:.1} {leave:.1} {over:.1}",
        start.0, start.1, start.0, start.0
    );
    if (turn > 0.0) == (arrive > leave) {
        write!(path, "H{arrive:.1}").expect("writing to a String cannot fail");
    }
    write!(
        path,
        "C{:.1} {over:.1} {:.1} {over:.1} {:.1} {:.1}",
        end.0,
        end.0,
        end.0,
        end.1 - 1.0
    )
    .expect("writing to a String cannot fail");
    path
}

fn label(out: &mut String, line: &Line, start: (f64, f64), room: f64) {
    let room = room - 26.0;
    if room < 40.0 {
        return;
    }
    let text = shorten(&line.label, 9.0, room);
    put!(
        out,
        "<text class=\"label {}\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
        line.sort.class(),
        start.0 + 5.0,
        start.1 - 3.0,
        xml(&text)
    );
}

fn draw_card(out: &mut String, card: &Card, (x, y): (f64, f64)) {
    let role = match card.role {
        NodeRole::Apply => "apply",
        NodeRole::Hook => "hook",
        NodeRole::Prune => "prune",
        NodeRole::Skip => "skip",
    };
    let critical = if card.is_critical { " critical" } else { "" };
    put!(
        out,
        "<g class=\"card {role}{critical}\" transform=\"translate({x:.1} {y:.1})\"><title>{}</title>",
        title_text(&card.title)
    );
    if card.count > 1 {
        put!(
            out,
            "<rect class=\"body back\" x=\"4\" y=\"4\" width=\"{CARD_WIDTH}\" height=\"{CARD_HEIGHT}\" rx=\"8\"/>"
        );
    }
    put!(
        out,
        "<rect class=\"body\" width=\"{CARD_WIDTH}\" height=\"{CARD_HEIGHT}\" rx=\"8\"/>"
    );
    put!(
        out,
        "<rect class=\"glyph {}\" x=\"9\" y=\"11\" width=\"32\" height=\"32\" rx=\"7\"/>",
        family(&card.kind)
    );
    put!(
        out,
        "<text class=\"glyph-text\" x=\"25\" y=\"31\">{}</text>",
        xml(&abbreviation(&card.kind))
    );
    let badge_room = card
        .badge
        .as_ref()
        .map_or(0.0, |badge| width(badge, 8.5) + 16.0);
    let room = CARD_WIDTH - 50.0 - 8.0;
    put!(
        out,
        "<text class=\"kind\" x=\"50\" y=\"17\">{}</text>",
        xml(&shorten(&card.kind, 9.5, room - badge_room))
    );
    put!(
        out,
        "<text class=\"name\" x=\"50\" y=\"32\">{}</text>",
        xml(&shorten(&card.name, 12.0, room))
    );
    put!(
        out,
        "<text class=\"space\" x=\"50\" y=\"45\">{}</text>",
        xml(&shorten(&card.namespace, 9.5, room))
    );
    if let Some(badge) = &card.badge {
        let wide = badge_room - 6.0;
        let left = CARD_WIDTH - wide - 6.0;
        put!(
            out,
            "<rect class=\"badge {role}\" x=\"{left:.1}\" y=\"6\" width=\"{wide:.1}\" height=\"14\" rx=\"7\"/>"
        );
        put!(
            out,
            "<text class=\"badge-text\" x=\"{:.1}\" y=\"16\">{}</text>",
            left + wide / 2.0,
            xml(badge)
        );
    }
    put!(out, "</g>");
}

/// Up to three letters for a kind: its capitals, or its beginning.
fn abbreviation(kind: &str) -> String {
    let kind = kind.rsplit("::").next().unwrap_or(kind);
    let known = match kind {
        "Service" => "Svc",
        "Secret" => "Sec",
        "Namespace" => "NS",
        "Deployment" => "Dep",
        "Ingress" => "Ing",
        "Kafka" => "Kfk",
        "CustomResourceDefinition" => "CRD",
        "Job" => "Job",
        "Pod" => "Pod",
        "Role" => "Rol",
        "Certificate" => "Crt",
        "Function" => "Fn",
        "Issuer" => "Iss",
        _ => "",
    };
    if !known.is_empty() {
        return known.to_owned();
    }
    let capitals: String = kind.chars().filter(|c| c.is_uppercase()).take(3).collect();
    if capitals.chars().count() > 1 {
        capitals
    } else {
        kind.rsplit("::")
            .next()
            .unwrap_or(kind)
            .chars()
            .take(3)
            .collect()
    }
}

/// The colour of a kind's glyph.
fn family(kind: &str) -> &'static str {
    match kind {
        "Namespace"
        | "CustomResourceDefinition"
        | "APIService"
        | "StorageClass"
        | "IngressClass"
        | "PriorityClass" => "f-base",
        "Secret" | "ConfigMap" | "ExternalSecret" | "SealedSecret" | "SecretStore"
        | "Certificate" | "Issuer" => "f-config",
        "ServiceAccount" | "Role" | "ClusterRole" | "RoleBinding" | "ClusterRoleBinding"
        | "AppProject" | "KafkaUser" => "f-rights",
        "Service" | "Ingress" | "Gateway" | "HTTPRoute" | "NetworkPolicy" => "f-traffic",
        "Deployment"
        | "HorizontalPodAutoscaler"
        | "ScaledObject"
        | "StatefulSet"
        | "DaemonSet"
        | "ReplicaSet"
        | "Pod"
        | "Rollout" => "f-work",
        "Job"
        | "CronJob"
        | "Workflow"
        | "CronWorkflow"
        | "SparkApplication"
        | "ScheduledSparkApplication" => "f-job",
        "PersistentVolumeClaim" | "PersistentVolume" => "f-base",
        kind if kind.starts_with("Kafka")
            || kind.starts_with("Flink")
            || kind.contains("Stream")
            || kind.contains("EventSource") =>
        {
            "f-data"
        }
        _ => "f-other",
    }
}

/// The legend's drawing and its width; it explains only what the picture shows.
fn legend(scene: &Scene) -> (String, f64) {
    let mut out = String::new();
    let mut x = 0.0;
    let mut entry = |classes: &str, words: &str| {
        put!(
            out,
            "<path class=\"{classes}\" d=\"M{x:.1} 0H{:.1}\"/><text class=\"note\" x=\"{:.1}\" y=\"4\">{}</text>",
            x + 28.0,
            x + 36.0,
            xml(words)
        );
        x += 36.0 + width(words, 11.0) + 24.0;
    };
    for sort in Sort::ALL {
        if scene
            .lines
            .iter()
            .any(|line| line.sort == sort && !line.is_against)
        {
            entry(&format!("line {}", sort.class()), sort.words());
        }
    }
    if scene
        .lines
        .iter()
        .any(|line| line.is_soft && !line.is_against)
    {
        entry("line config soft", "optional or by name");
    }
    if scene.lines.iter().any(|line| line.is_against) {
        entry("line against", "against the waves, orders nothing");
    }
    if scene.cards.iter().any(|card| card.is_critical) {
        entry("line critical", "longest chain");
    }
    (out, x)
}
