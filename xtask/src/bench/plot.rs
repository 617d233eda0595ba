//! Pictures of what was measured, as SVG that is written by hand: enough for a page, no more.

use std::fmt::Write;

use super::figures::thousands;

const WIDTH: u64 = 720;
const COLOURS: [&str; 4] = ["#2563eb", "#ea580c", "#059669", "#7c3aed"];

/// Beside and around the drawing, for texts.
const MARGIN: u64 = 64;
const HEIGHT: u64 = 240;

/// A bar for each amount, one below the other.
pub(super) fn bars(title: &str, bars: &[(String, u64)]) -> String {
    const LABELS: u64 = 260;
    const BAR: u64 = 26;
    let height = 48 + BAR * bars.len() as u64;
    let most = bars.iter().map(|(_, amount)| *amount).max().unwrap_or_default().max(1);
    let mut svg = begin(title, height);
    for (at, (label, amount)) in bars.iter().enumerate() {
        let (top, length) = (40 + BAR * at as u64, amount * (WIDTH - LABELS - 90) / most);
        let colour = COLOURS[usize::from(!label.starts_with("ours"))];
        let middle = top + BAR / 2;
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{middle}\" text-anchor=\"end\">{}</text>\
             <rect x=\"{LABELS}\" y=\"{}\" width=\"{length}\" height=\"16\" fill=\"{colour}\"/>\
             <text x=\"{}\" y=\"{middle}\">{}</text>",
            LABELS - 8,
            escaped(label),
            top - 1,
            LABELS + length + 6,
            thousands(*amount),
        );
    }
    svg + "</svg>\n"
}

/// A line for each series of points, over milliseconds.
pub(super) fn lines(title: &str, series: &[(&str, Vec<(u64, u64)>)]) -> String {
    let points = || series.iter().flat_map(|(_, points)| points);
    let last = points().map(|(at, _)| *at).max().unwrap_or_default().max(1);
    let most = points().map(|(_, amount)| *amount).max().unwrap_or_default().max(1);
    let mut svg = begin(title, HEIGHT + 2 * MARGIN);
    let bottom = MARGIN + HEIGHT;
    let right = WIDTH - 16;
    let _ = writeln!(
        svg,
        "<path d=\"M{MARGIN} {MARGIN}V{bottom}H{right}\" fill=\"none\" stroke=\"#64748b\"/>\
         <text x=\"{}\" y=\"{MARGIN}\" text-anchor=\"end\">{}</text>\
         <text x=\"{}\" y=\"{bottom}\" text-anchor=\"end\">0</text>\
         <text x=\"{right}\" y=\"{}\" text-anchor=\"end\">{} s</text>",
        MARGIN - 6,
        thousands(most),
        MARGIN - 6,
        bottom + 18,
        last.div_ceil(1_000),
    );
    for (at, (name, points)) in series.iter().enumerate() {
        let colour = COLOURS[at % COLOURS.len()];
        let place = |(at, amount): &(u64, u64)| {
            format!("{},{}", MARGIN + at * (right - MARGIN) / last, bottom - amount * HEIGHT / most)
        };
        let places: Vec<String> = points.iter().map(place).collect();
        let _ = writeln!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>\
             <text x=\"{}\" y=\"{}\" fill=\"{colour}\">{}</text>",
            places.join(" "),
            MARGIN + 160 * at as u64,
            bottom + 40,
            escaped(name),
        );
    }
    svg + "</svg>\n"
}

fn begin(title: &str, height: u64) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" \
         font-size=\"12\" fill=\"#0f172a\" dominant-baseline=\"middle\">\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#ffffff\"/>\n\
         <text x=\"16\" y=\"20\" font-size=\"15\" font-weight=\"bold\">{}</text>\n",
        escaped(title)
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_bar_fills_the_width_and_texts_are_escaped() {
        let svg = bars("a < b", &[("ours".to_owned(), 10), ("floor".to_owned(), 5)]);
        assert!(svg.contains("a &lt; b") && svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
        assert!(svg.contains("width=\"370\"") && svg.contains("width=\"185\""), "{svg}");
    }

    #[test]
    fn lines_reach_from_corner_to_corner() {
        let svg = lines("backlog", &[("waiting", vec![(0, 0), (2_000, 50)])]);
        assert!(svg.contains("points=\"64,304 704,64\""), "{svg}");
        assert!(svg.contains(">2 s<"));
        assert!(lines("nothing", &[]).ends_with("</svg>\n"));
    }
}
