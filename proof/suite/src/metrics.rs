//! The text of `/metrics`, read.
//!
//! It never guesses: a series that is not there is zero, as a counter that has not yet counted is.

/// One reading of the exposition.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    samples: Vec<Sample>,
}

/// Name, labels, value.
type Sample = (String, Vec<(String, String)>, f64);

impl Metrics {
    /// Reads Prometheus text.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let samples = text.lines().filter(|line| !line.starts_with('#')).filter_map(sample).collect();
        Self { samples }
    }

    /// The sum over every series of `name` that carries all of `labels`.
    #[must_use]
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.samples
            .iter()
            .filter(|(sample, having, _)| {
                sample == name && labels.iter().all(|(key, value)| having.iter().any(|(k, v)| k == key && v == value))
            })
            .map(|(_, _, value)| value)
            .sum()
    }

    /// Whether any series of `name` is there.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.samples.iter().any(|(sample, _, _)| sample == name)
    }

    /// How often `reason` was given, to a request or to a connection.
    #[must_use]
    pub fn refused(&self, reason: &str) -> f64 {
        let labels = [("reason", reason)];
        self.sum("portcullis_refused_total", &labels) + self.sum("portcullis_connections_refused_total", &labels)
    }

    /// Every reason that was given, with how often.
    #[must_use]
    pub fn reasons(&self) -> Vec<(String, f64)> {
        let mut reasons: Vec<(String, f64)> = Vec::new();
        for (name, labels, value) in &self.samples {
            let counted = name == "portcullis_refused_total" || name == "portcullis_connections_refused_total";
            let reason = labels.iter().find(|(key, _)| key == "reason").map(|(_, value)| value);
            let (true, Some(reason)) = (counted && *value > 0.0, reason) else { continue };
            match reasons.iter_mut().find(|(known, _)| known == reason) {
                Some((_, sum)) => *sum += value,
                None => reasons.push((reason.clone(), *value)),
            }
        }
        reasons
    }
}

/// `name{label="value",…} 12` as its parts.
fn sample(line: &str) -> Option<Sample> {
    let (series, value) = line.trim().rsplit_once(' ')?;
    let (name, labels) = match series.split_once('{') {
        None => (series, ""),
        Some((name, labels)) => (name, labels.strip_suffix('}')?),
    };
    let mut pairs = Vec::new();
    let mut rest = labels;
    while let Some((key, after)) = rest.split_once("=\"") {
        let mut value = String::new();
        let mut escaped = false;
        let mut end = after.len();
        for (at, letter) in after.char_indices() {
            match (escaped, letter) {
                (true, 'n') => value.push('\n'),
                (true, other) => value.push(other),
                (false, '\\') => {
                    escaped = true;
                    continue;
                }
                (false, '"') => {
                    end = at + 1;
                    break;
                }
                (false, other) => value.push(other),
            }
            escaped = false;
        }
        pairs.push((key.trim_start_matches(',').to_owned(), value));
        rest = after.get(end..).unwrap_or_default();
    }
    Some((name.to_owned(), pairs, value.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_are_summed_by_label() {
        let metrics = Metrics::parse(concat!(
            "# TYPE portcullis_refused_total counter\n",
            "portcullis_refused_total{reason=\"bad-host\"} 2\n",
            "portcullis_refused_total{reason=\"bad-chunk\"} 1\n",
            "portcullis_connections_refused_total{reason=\"bad-host\"} 1\n",
            "portcullis_upstream_healthy{upstream=\"http://a:1\",note=\"say \\\"hi\\\"\"} 1\n",
            "portcullis_panics_total 0\n",
        ));
        assert!((metrics.refused("bad-host") - 3.0).abs() < f64::EPSILON);
        assert_eq!(metrics.reasons(), [("bad-host".to_owned(), 3.0), ("bad-chunk".to_owned(), 1.0)]);
        assert!((metrics.sum("portcullis_refused_total", &[]) - 3.0).abs() < f64::EPSILON);
        let quoted = metrics.sum("portcullis_upstream_healthy", &[("note", "say \"hi\"")]);
        assert!((quoted - 1.0).abs() < f64::EPSILON);
        assert!(metrics.has("portcullis_panics_total") && !metrics.has("portcullis_retries_total"));
    }
}
