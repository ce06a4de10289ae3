//! Numbers as text that a monitoring system reads: Prometheus's text format 0.0.4, and OpenMetrics 1.0 where it is asked for.
//!
//! Invariants: a metric is described once and before its samples; a label's value is escaped; no value of a secret is ever
//! part of it, and a name only where the configuration allows it.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use crate::metrics::Observed;

/// How the text is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// Prometheus's own.
    Prometheus,
    /// OpenMetrics.
    OpenMetrics,
}

impl Format {
    /// The one that `Accept` asks for.
    pub(super) fn of(accept: Option<&str>) -> Self {
        let open = accept.is_some_and(|accept| accept.contains("application/openmetrics-text"));
        if open { Self::OpenMetrics } else { Self::Prometheus }
    }

    pub(super) const fn media_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// Labels of a sample.
pub(super) type Labels = Vec<(&'static str, String)>;

/// Metrics, in the order in which they are written.
#[derive(Debug, Default)]
pub(super) struct Page(Vec<Family>);

#[derive(Debug)]
struct Family {
    name: &'static str,
    help: &'static str,
    samples: Samples,
}

#[derive(Debug)]
enum Samples {
    Counters(Vec<(Labels, u64)>),
    Seconds(f64),
    Gauges(Vec<(Labels, f64)>),
    Histograms(Vec<(Labels, Observed)>),
}

impl Page {
    /// A number that grows; its name is written with `_total`.
    pub(super) fn counter(&mut self, name: &'static str, help: &'static str, value: u64) {
        self.counters(name, help, vec![(Vec::new(), value)]);
    }

    /// The same, by labels.
    pub(super) fn counters(&mut self, name: &'static str, help: &'static str, samples: Vec<(Labels, u64)>) {
        self.0.push(Family { name, help, samples: Samples::Counters(samples) });
    }

    /// Seconds that grow; the name is written with `_total`.
    pub(super) fn seconds(&mut self, name: &'static str, help: &'static str, value: Option<f64>) {
        self.0.extend(value.map(|value| Family { name, help, samples: Samples::Seconds(value) }));
    }

    /// A number that goes up and down.
    pub(super) fn gauge(&mut self, name: &'static str, help: &'static str, value: f64) {
        self.gauges(name, help, vec![(Vec::new(), value)]);
    }

    /// The same, left out where it is not known.
    pub(super) fn known(&mut self, name: &'static str, help: &'static str, value: Option<f64>) {
        self.gauges(name, help, value.map(|value| (Vec::new(), value)).into_iter().collect());
    }

    /// The same, by labels.
    pub(super) fn gauges(&mut self, name: &'static str, help: &'static str, samples: Vec<(Labels, f64)>) {
        self.0.push(Family { name, help, samples: Samples::Gauges(samples) });
    }

    /// A distribution, by labels.
    pub(super) fn histograms(&mut self, name: &'static str, help: &'static str, samples: Vec<(Labels, Observed)>) {
        self.0.push(Family { name, help, samples: Samples::Histograms(samples) });
    }

    /// The text. A metric without samples is left out.
    ///
    /// # Errors
    /// When the library fails, which it does not when it writes to memory.
    pub(super) fn text(mut self, format: Format) -> Result<String, fmt::Error> {
        self.0.retain(|family| !family.samples.is_empty());
        let mut registry = Registry::default();
        registry.register_collector(Box::new(self));
        let mut text = String::new();
        encode(&mut text, &registry)?;
        Ok(match format {
            Format::OpenMetrics => text,
            Format::Prometheus => to_prometheus(&text),
        })
    }
}

impl Samples {
    fn is_empty(&self) -> bool {
        match self {
            Self::Seconds(_) => false,
            Self::Counters(samples) => samples.is_empty(),
            Self::Gauges(samples) => samples.is_empty(),
            Self::Histograms(samples) => samples.is_empty(),
        }
    }
}

impl Collector for Page {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for Family { name, help, samples } in &self.0 {
            let kind = match samples {
                Samples::Counters(_) | Samples::Seconds(_) => MetricType::Counter,
                Samples::Gauges(_) => MetricType::Gauge,
                Samples::Histograms(_) => MetricType::Histogram,
            };
            let mut family = encoder.encode_descriptor(name, help, None, kind)?;
            match samples {
                Samples::Seconds(value) => family.encode_counter::<NoLabelSet, _, f64>(value, None)?,
                Samples::Counters(samples) => {
                    for (labels, value) in samples {
                        if labels.is_empty() {
                            family.encode_counter::<NoLabelSet, _, f64>(value, None)?;
                        } else {
                            family.encode_family(labels)?.encode_counter::<NoLabelSet, _, f64>(value, None)?;
                        }
                    }
                }
                Samples::Gauges(samples) => {
                    for (labels, value) in samples {
                        if labels.is_empty() {
                            family.encode_gauge(value)?;
                        } else {
                            family.encode_family(labels)?.encode_gauge(value)?;
                        }
                    }
                }
                Samples::Histograms(samples) => {
                    for (labels, Observed { buckets, sum }) in samples {
                        let count = buckets.iter().map(|(_, count)| count).sum();
                        if labels.is_empty() {
                            family.encode_histogram::<NoLabelSet>(*sum, count, buckets, None)?;
                        } else {
                            family.encode_family(labels)?.encode_histogram::<NoLabelSet>(*sum, count, buckets, None)?;
                        }
                    }
                }
            }
        }
        Ok(())
    }
}

/// From OpenMetrics to the older format, in which a counter is described by the name that its samples have.
fn to_prometheus(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 8);
    let mut help = None;
    for line in text.lines() {
        if line.starts_with("# HELP ") {
            help = Some(line);
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            let suffix = if kind == "counter" { "_total" } else { "" };
            let text =
                help.take().and_then(|help| help.strip_prefix("# HELP ")?.split_once(' ')).map_or("", |(_, text)| text);
            out.extend(["# HELP ", name, suffix, " ", text, "\n# TYPE ", name, suffix, " ", kind, "\n"]);
        } else if line != "# EOF" {
            out += line;
            out.push('\n');
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Histogram;

    fn page() -> Page {
        let mut page = Page::default();
        page.counter("a", "Things.", 3);
        page.counters("b", "By kind.", vec![(vec![("kind", "x\"\\\n".to_owned())], 1)]);
        page.known("c", "Unknown.", None);
        page.gauge("d_seconds", "Time.", 1.5);
        let histogram = Histogram::of_sizes();
        histogram.observe(3);
        page.histograms("e", "Sizes.", vec![(Vec::new(), histogram.observed())]);
        page
    }

    #[test]
    fn a_counter_is_described_by_the_name_that_its_samples_have() {
        let text = page().text(Format::Prometheus).unwrap();
        assert!(text.starts_with("# HELP a_total Things.\n# TYPE a_total counter\na_total 3\n"), "{text}");
        assert!(text.contains("b_total{kind=\"x\\\"\\\\\\n\"} 1\n"), "{text}");
        assert!(text.contains("# TYPE d_seconds gauge\nd_seconds 1.5\n"), "{text}");
        assert!(text.contains("e_bucket{le=\"4.0\"} 1\n") && text.contains("e_bucket{le=\"+Inf\"} 1\n"), "{text}");
        assert!(!text.contains("Unknown") && !text.contains("EOF"), "{text}");
    }

    #[test]
    fn open_metrics_is_for_those_who_ask_for_it() {
        assert_eq!(Format::of(None), Format::Prometheus);
        assert_eq!(Format::of(Some("text/plain;version=0.0.4")), Format::Prometheus);
        assert_eq!(Format::of(Some("application/openmetrics-text;version=1.0.0,*/*;q=0.1")), Format::OpenMetrics);
        let text = page().text(Format::OpenMetrics).unwrap();
        assert!(text.starts_with("# HELP a Things.\n# TYPE a counter\na_total 3\n"), "{text}");
        assert!(text.ends_with("# EOF\n"), "{text}");
    }
}
