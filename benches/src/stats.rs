//! What many samples say together.

use serde::Serialize;

/// Median, least and greatest of some samples.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Summary {
    /// The middle one, or the mean of the two in the middle.
    pub median: f64,
    /// The least.
    pub min: f64,
    /// The greatest.
    pub max: f64,
}

/// Summarises; `None` without samples.
pub fn summary(samples: &[f64]) -> Option<Summary> {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (min, max) = (*sorted.first()?, *sorted.last()?);
    let upper = *sorted.get(sorted.len() / 2)?;
    let lower = *sorted.get((sorted.len() - 1) / 2)?;
    Some(Summary { median: f64::midpoint(lower, upper), min, max })
}

/// Slope of the least-squares line through points (x, y).
pub fn slope(points: &[(f64, f64)]) -> Option<f64> {
    let n = f64::from(u32::try_from(points.len()).ok()?);
    let mean = |f: fn(&(f64, f64)) -> f64| points.iter().map(f).sum::<f64>() / n;
    let (x, y) = (mean(|p| p.0), mean(|p| p.1));
    let spread: f64 = points.iter().map(|p| (p.0 - x).powi(2)).sum();
    let common: f64 = points.iter().map(|p| (p.0 - x) * (p.1 - y)).sum();
    (spread > 0.0).then(|| common / spread)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::float_cmp)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        let even = summary(&[4.0, 1.0, 2.0, 3.0]).unwrap();
        assert_eq!((even.median, even.min, even.max), (2.5, 1.0, 4.0));
        assert_eq!(summary(&[7.0, 1.0, 9.0]).unwrap().median, 7.0);
        assert!(summary(&[]).is_none());
    }

    #[test]
    fn slopes() {
        assert_eq!(slope(&[(0.0, 1.0), (50.0, 101.0), (100.0, 201.0)]).unwrap(), 2.0);
        assert!(slope(&[(1.0, 1.0), (1.0, 2.0)]).is_none());
    }
}
