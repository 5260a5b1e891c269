//! Figures as tables of Markdown, as docs/performance.md has them: what a benchmark prints goes there as it is.

use crate::bench::spread::Delays;

/// A table in the making.
#[derive(Debug)]
pub struct Table(String);

impl Table {
    /// With these heads of columns.
    pub fn new(heads: &[&str]) -> Self {
        let mut table = Self(String::new());
        table.row(heads.iter().copied());
        table.0.push_str(&format!("|{}\n", "---|".repeat(heads.len())));
        table
    }

    /// A row.
    pub fn row<S: AsRef<str>>(&mut self, cells: impl IntoIterator<Item = S>) {
        for cell in cells {
            self.0.push_str("| ");
            self.0.push_str(cell.as_ref());
            self.0.push(' ');
        }
        self.0.push_str("|\n");
    }

    /// Prints it.
    pub fn print(&self) {
        println!("\n{}", self.0);
    }
}

/// p50, p90, p99 and the longest, in milliseconds, each a cell; a dash where nothing was noted.
pub fn quantiles(delays: &mut Delays) -> [String; 4] {
    [0.5, 0.9, 0.99, 1.0].map(|share| match delays.at(share) {
        ms if ms.is_nan() => "–".into(),
        ms if ms < 10.0 => format!("{ms:.1}"),
        ms => grouped(ms),
    })
}

/// A number without a fraction, thousands apart.
pub fn grouped(number: f64) -> String {
    let digits = format!("{number:.0}");
    let from = digits.len() % 3;
    let apart = |(n, digit): (usize, char)| {
        let comma = n > 0 && n % 3 == from && digit != '-';
        comma.then_some(',').into_iter().chain([digit])
    };
    digits.chars().enumerate().flat_map(apart).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_can_be_read() {
        let numbers = [0.4, 12.0, 999.6, 12_345.0, 1_234_567.0].map(grouped);
        assert_eq!(numbers, ["0", "12", "1,000", "12,345", "1,234,567"]);
        let mut delays = Delays::default();
        assert_eq!(quantiles(&mut delays), ["–"; 4]);
        delays.push(1.5);
        assert_eq!(quantiles(&mut delays)[0], "1,500");
    }
}
