//! Values of what formats stumble over, the same in every run.

/// 10,000 of them, by name.
pub fn random() -> impl Iterator<Item = (String, String)> {
    let mut numbers = Numbers(42);
    (0..10_000).map(move |n| (format!("K{n}"), numbers.value()))
}

/// Numbers that look random, and are the same each time.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % limit
    }

    /// Values of what formats stumble over, with words in between.
    fn value(&mut self) -> String {
        const PARTS: [&str; 48] = [
            "a",
            "Z",
            "0",
            " ",
            "  ",
            "\t",
            "\n",
            "\n\n",
            "\r",
            "\r\n",
            "'",
            "\"",
            "`",
            "\\",
            "\\\\",
            "\\n",
            "\\\"",
            "\\'",
            "$",
            "$$",
            "${A}",
            "$A",
            "${",
            "}",
            "#",
            " #",
            "# ",
            "=",
            ":",
            ": ",
            "- ",
            "!",
            "%",
            "&",
            "*",
            "{",
            "[",
            "|",
            ">",
            "~",
            "null",
            "true",
            "ü",
            "🦀",
            "\u{2028}",
            "\u{feff}",
            "\u{7f}",
            "export K=1",
        ];
        (0..self.below(9)).map(|_| PARTS[self.below(PARTS.len())]).collect()
    }
}
